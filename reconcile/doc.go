// Package reconcile brings the copies in the clusters into agreement with what
// the tenants' repositories desire and what their vaults hold, and says at any
// moment how far it has come.
//
// # Three places, one function
//
// What is desired stands in Git, what it is worth in the vault, and what of it is
// there in the cluster. Each of the three can be looked at from memory at any
// time, and calls back when it changed:
//
//	what is asked     looked at by                    calls when it changed
//	what is desired   the claims of a [place]         tenant.take (desire.go)
//	what it is worth  vault.Source.State              origin.changed (desire.go)
//	what stands       kube.Cluster.Look               connection.Changed (connection.go)
//
// Work is keyed by place: a Secret's name in a namespace of one physical cluster,
// by whatever name that is registered. A call, a retry or a commit only marks a
// place as due. A worker takes it, looks at all three (gather, place.go), decides
// what is to be done, which is a pure function and the only one that decides
// (decide, decide.go), tells what that means for the targets (tell.go), does it
// (act.go; refused.go where the cluster says no) and notes how it ended. Nothing waits in the middle: a value that is
// not in memory is asked for, and its coming marks the place as due again.
//
//	Git ── take ──► claims ─┐                      ┌─ stay, wait: nothing
//	vault ─ changed ────────┼─► due ─► decide ─────┼─ know, confirm, fetch: ask the vault
//	cluster ─ Changed ──────┘    ▲       │         ├─ read, try: ask the cluster
//	                             │       ▼         └─ create, update, replace: write
//	time ── again ───────────────┘     status
//
// A status is the same decision, made of the same things at the moment it is
// asked for. So it says Pending as soon as a write is necessary, and never Synced
// where no Secret stands.
//
// # The states of a place
//
// What is remembered of a place between two passes is its record (place.go). By
// what was decided last and what the record holds it is in one of these states:
//
//	held up      something else must change first: the cluster, the namespace, the value, whose Secret stands there
//	asking       the version or the value was asked of the vault; the record holds the request for a value
//	looking      the one Secret in the place is being read: the watch does not tell of it
//	writing      the copy is being written
//	confirming   it was answered; what admission made of it will be told by the watch; the record holds what was sent
//	right        value and copy agree; the record holds that copy
//	put off      an attempt failed, and the record holds its cause and when to try again; or the cluster asked us to wait
//	contended    the copy was changed once too often; the record holds the fight and how long it pauses
//	altered      admission makes something else of it; the record holds what was sent and when it was tried
//
// Each begins with a decision and ends with another one. From any of them a
// place comes to any other that the decision names; a restart begins at the
// left, and most places come from there to right without a request.
//
//	            ┌──────────────────── due again: decide anew ────────────────────┐
//	            ▼                                                                │
//	claimed ─► decide ─┬─► held up ────────────── what it depends on changes ────┤
//	                   ├─► asking ─────────────── the vault answers ─────────────┤
//	                   ├─► looking ────────────── it is known whose it is ───────┤
//	                   ├─► right ──────────────── drift, a new version ──────────┤
//	                   ├─► put off ────────────── its time has come ─────────────┤
//	                   ├─► contended ──────────── the pause is over ─────────────┤
//	                   ├─► altered ────────────── a dry run once an interval ────┤
//	                   ├─► confirming ─────────── the watch told what became ────┤
//	                   │       ▲                  of it: right, or altered       │
//	                   │    answered                                             │
//	                   │       │                                                 │
//	                   └─► writing ────────────── refused: put off ──────────────┘
//
// A status is told at each decision: what a place is held up by, what it waits
// for, or that it is Synced.
//
// At rest a place has no timer and nothing under way.
//
// # What is guaranteed
//
//   - A Secret that does not bear the tenant's labels is never written, unless
//     it bears the annotation that allows exactly this definition to adopt it,
//     or a keyed hash proves that it is our own copy with its labels removed.
//   - No Secret is ever deleted, except to replace our own copy where its type
//     or its immutability forbids an update, after a dry run of the create, and
//     on the explicit removal of an orphan that is proven to be one.
//   - A copy that is right is not written, after a restart neither.
//   - A cluster or a vault that is slow or down holds up only what needs it, and
//     one tenant's slow writes hold up no other's.
//   - No value, token or key leaves the package in a status, a log line, a metric
//     or an event.
//
// What a change of definitions would do before anybody makes it says package plan;
// it judges targets by the same rules (reach.go).
//
// It loses nothing at a crash: all it remembers is rebuilt from the
// repositories, the vaults and the annotations on the copies.
package reconcile
