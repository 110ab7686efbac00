// Package deploy holds secretsync's Helm chart and Kustomize base, and the tests that hold them to what they promise.
//
// The chart is the only source. What lies in kustomize is rendered from it by [TestTheBaseIsWhatTheChartRenders], so that the
// two can't come apart: the base is the chart with its defaults, kustomize/replicas the chart with three pods.
//
// This is a module of its own, so that Helm, Kustomize and Prometheus, which render and judge what is here, are no
// dependencies of secretsync.
package deploy
