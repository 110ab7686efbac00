// Package kube owns the connection to one Kubernetes cluster: which cluster it
// is, what stands in it as far as it concerns us, and the few ways to change
// that. It knows nothing of what is desired, of vaults and of Git.
//
// # What it guarantees
//
//   - What [Cluster.Look] says is the newest that anybody told us: the watch, a
//     listing, or the answer to a request of our own (package mirror has the rules).
//   - While [Cluster.Outage] is nil every copy that bears our label is followed.
//     What bears it no longer is told once ([mirror.Seen].Left), and from then on has
//     to be read one by one.
//   - It keeps no values, and knows a copy as ours by its keyed hash alone (package
//     copies has both).
//   - A write is one request (a [Cluster.Replace] is four), under a condition on
//     what was seen, and its effect is compared once with what was sent. What
//     admission made of it stands in [copies.Copy].Altered.
//   - Nothing that a message says holds data that were sent, text of admission,
//     an address or a path of the operator's. Those of the operator go into the
//     log, once for each change of the trouble.
//   - Every wait has a bound and ends with its context, that for a credential
//     plugin too. [Cluster.Run] returns when everything it started has ended.
//
// # The connection
//
//	    configured, or files changed, or a pause is over
//	                        │
//	                        ▼
//	┌──── way: kubeconfig, certificates, token, plugin ────┐
//	│                       │ all can be read              │ not
//	│                       ▼                              │
//	│       identify: UID of kube-system ──────────────────┤ no answer
//	│                       │                              │
//	│                       ▼                              ▼
//	│       list Secrets and namespaces ──────────────► outage, pause
//	│                       │                              ▲
//	│                       ▼                              │
//	│       usable: watching, looking at files             │
//	│                       │                              │
//	│                       ├── the watch ends and the server does not answer,
//	│                       │   or answers from an older state; a request
//	│                       │   fails and a probe fails as well
//	└───────────────────────┴── the way differs, or another cluster answers
//
// Where Secrets can't be listed in the whole cluster, each granted namespace is
// followed by itself; a namespace that may not be listed has a [mirror.Seen].Fault and
// troubles no other. Where namespaces can't be listed either, those are followed
// that are granted by name and those that Look was asked for.
//
// A file that leads to the cluster is looked at once an interval and on
// [Cluster.Reread]. Another token in a token file is used from the next request
// on; anything else that differs begins a new connection. What can't be used
// (half of a pair of files, say) is told in the log and changes nothing.
//
// # The files
//
//	config, cluster               what the others see: Config, Cluster
//	connection, identity,         the connection, as drawn
//	renewal, backoff
//	scope, watch                  which namespaces are followed, and the one way to follow
//	write                         the ways to change a Secret: as a whole, a share of it, and to try
//	workload                      what runs pods: read, and marked so that it starts them anew
//	events                        events for the people of the cluster
//
// and in rooms of their own
//
//	client                        every request that is made
//	copies                        what a Secret is to us: what is kept of it, known as ours, and sent
//	share                         whose an entry of a Secret is that several share
//	mirror                        what is known to stand there, and how news of it is taken in
//	way                           how the cluster is reached: kubeconfig, tokens, plugins
//	refusal                       what kinds of no there are, and which an error is
//
// # Libraries
//
// client-go's rest client, decoders, resource versions and limiter (x/time/rate)
// are used, and of its events the correlator. Its Reflector is not. Of the reasons against it one is
// gone: behind a ListerWatcher that hands out records it needs no memory for
// values. These hold (v0.37):
//
//   - It believes that resource versions never go back. After a restore of an
//     older etcd it watches from a version that the server has not reached yet,
//     in silence. Here the server is probed after every break.
//   - When its context ends it leaves the listing that is under way behind, in a
//     goroutine that nobody can wait for.
//   - It repeats what fails by itself, with pauses of up to a minute, and tells
//     of it by a callback. Here the first failure ends the connection, with a
//     cause, and all credentials are read again.
//
// Nor is its runner of credential plugins: it runs the program inside a request,
// without a time limit, while every other request waits for the same lock.
package kube
