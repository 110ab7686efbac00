// Package kube owns the connection to one Kubernetes cluster: which cluster it
// is, what stands in it as far as it concerns us, and the few ways to change
// that. It knows nothing of what is desired, of vaults and of Git.
//
// # What it guarantees
//
//   - What [Cluster.Look] says is the newest that anybody told us: the watch, a
//     listing, or the answer to a request of our own. It never goes back to an
//     older state of the same server, and never stays at a newer state than the
//     server has (see standing for the rules).
//   - While [Cluster.Outage] is nil every copy that bears our label is followed.
//     What bears it no longer is told once ([Seen].Left), and from then on has
//     to be read one by one.
//   - It keeps no values: of each Secret a [Copy] of some 500 bytes.
//   - A copy is known as ours by its keyed hash alone, which covers the cluster,
//     the place, the owner and the data. Labels can be copied; the hash can't.
//   - Of a Secret that several share only the entries of a definition's own share are
//     written, and what another manages is left alone (package share has the rules).
//   - A write is one request (a [Cluster.Replace] is four), under a condition on
//     what was seen, and its effect is compared once with what was sent. What
//     admission made of it stands in [Copy].Altered.
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
// followed by itself; a namespace that may not be listed has a [Seen].Fault and
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
//	config, cluster               what the others see: Config, Cluster, Seen
//	connection, way, plugin,      the connection, as drawn
//	identity, renewal, backoff
//	client                        every request that is made
//	scope, watch                  which namespaces are followed, and the one way to follow
//	labels                        those of namespaces, while somebody selects by them
//	standing                      what is known to stand there; and how news of it
//	  arrivals, listings          is taken in: of one Secret, of whole namespaces
//	copy, observe, hash           what is kept of a Secret, and how it is known as ours
//	worn                          the labels and annotations of a definition on it
//	shared, join                  a Secret that several share: who has what on it, and one's own share
//	write, dryrun, alteration     the ways to change one, and what admission makes of that
//	workload                      what runs pods: read, and marked so that it starts them anew
//	refusal, answer               what kinds of no there are, and which an error is
//	events                        events for the people of the cluster
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
