// Package probes answers those who keep an eye on the process: whether it lives, whether it is
// ready, its metrics, and what it is busy with. None of them has a key. What they are told names
// no definition and no path; readiness names no tenant either, and metrics do: see the threat
// model of package httpapi.
package probes
