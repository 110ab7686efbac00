// Package vault owns every conversation with the vaults that hold the values:
// HashiCorp Vault or OpenBao, KV version 2.
//
// A [Broker] serves one tenant. It logs in and stays logged in, follows the
// files that its configuration names, reads each value once however many want
// it, and asks once an interval whether it changed. A [Source] is one path of
// it: what is known of its value can be looked at from memory at any time, and
// a callback tells when that changed.
//
//	 asks: Refresh, Look, Request,              polls, once an interval
//	 hints, the vault's own events           (wheel.go; pace.go for those
//	 (source.go, hint.go, events.go)          with one of their own)
//	                 └──────► queue (readqueue.go) ◄──────┘
//	                                │ at most Concurrency at once, no faster than
//	                                ▼ the vault allows (access.Limit)
//	token, breaker ──────► one read a path ──────► State, Value ──────► changed()
//	(session.go)              (reads.go)            (learn.go, memory.go)
//
// The files that the configuration names are followed beside that
// (followfiles.go); a change makes the connection or the login anew.
//
// The package decides what is asked of a vault and when. How it is asked is in its rooms:
//
//	access  the configuration, connections, requests and failures, rates, logins and tokens
//	kv      values and their versions, as a KV version 2 engine holds them
//	event   event notifications
//
// The rates are x/time/rate's, as the limiter of Vault's own Go client is; that
// one has a fixed rate for each client, where ours is of a mount, shared by all
// who read it, and adapts to the answers 429.
//
// It guarantees:
//   - Values live in memory only while somebody holds a [Request] for them, and
//     for some seconds after a read that found a new one; their bytes are bounded.
//   - What is known right stays known through an outage, a rate limit of the
//     vault and a refused token: those are told by [Broker.Outage], or not at all.
//   - An answer that is older than one seen before counts only after it was
//     asked again, at the active node where the vault knows the header for it.
//   - A vault that is down is asked by one probe at a time; what waited goes on
//     when it is back, spread so that it is not run over.
//   - The state of files never makes an error of [New] or [Broker.Configure]:
//     a file that is missing or bad is an outage with its cause.
//   - Variables of the Vault programs in the environment change nothing: the
//     library's client takes token, namespace and headers from them and fails
//     on ones it can't read, which is why requests are made here.
//   - No value, token or credential is in a message or a log line. Messages,
//     which tenants read, hold no addresses and no paths of the operator's
//     machine either; those go into the log.
package vault
