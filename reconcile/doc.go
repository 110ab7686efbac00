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
//	what is desired   the claims of a [place]         tenant.take (desire.go), and for namespaces
//	                                                  that are selected tenant.relabelled (selected.go)
//	what it is worth  vault.Source.State              origin.changed (origin.go)
//	what stands       kube.Cluster.Look               connection.Changed (connection.go)
//
// A claim is a target of a definition. One that names a namespace claims one place;
// one that selects namespaces by their labels claims one in each that matches and is
// granted, for as long as it does. What a definition asks of its copies besides
// (asked.go) goes with each claim: the recipe by which package compose makes the
// data, the labels and annotations that a copy wears, whether it is suspended. A copy
// may be made of the values at several paths: they count as one, which is known when
// all are. What a copy was made of, the recipe and the version at each path, stands on
// it as a stamp; another stamp is another copy.
//
// Work is keyed by place: a Secret's name in a namespace of one physical cluster,
// by whatever name that is registered. A call, a retry or a commit only marks a
// place as due. A worker takes it, looks at all three (gather, place.go), decides
// what is to be done, which is a pure function and the only one that decides
// (package decide), tells what that means for the targets (tell.go), does it
// (act.go, write.go) and notes how it ended. Nothing waits in
// the middle: a value that is not in memory is asked for, and its coming marks the place
// as due again.
//
//	Git ── take ──► claims ─┐                      ┌─ stay, wait: nothing
//	labels ─ relabelled ─►──┤                      │
//	vault ─ changed ────────┼─► due ─► decide ─────┼─ know, confirm, fetch: ask the vault
//	cluster ─ Changed ──────┘    ▲       │         ├─ read, leave: ask the cluster; take a share off
//	                             │       ▼         └─ try, create, update, replace: compose the data,
//	time ── again ───────────────┘     status         and ask the cluster with them, or write
//
// Two things follow from the loop and are not part of it:
//
//	a copy is right    ──► package restart: workloads whose pods were started with other data
//	a claim is let go  ──► clean-up (orphans.go): whether its copy goes, and when, packages sweep and cleanup
//
// A status (its words: package status) is the same decision, made of the same things at
// the moment it is asked for. So it says Pending as soon as a write is necessary, and never Synced
// where no Secret stands.
//
// # The states of a place
//
// What is remembered of a place between two passes is its record (place.go, and what
// writes it, package decide). By what was decided last and what the record holds it is
// in one of these states:
//
//	held up      something else must change first: the cluster, the namespace, the value, whose Secret stands there;
//	             or it is suspended, by its definition or its tenant: looked at and told, and not written
//	unfit        no copy can be made of the values as they are; the record holds for which stamp, and why
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
//	                   ├─► unfit ──────────────── a value, or the definition ────┤
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
//   - No Secret is ever deleted, except: to replace our own copy where its type
//     or its immutability forbids an update, after a dry run of the create; on the
//     explicit removal of an orphan that is proven to be one; and an orphan that is
//     proven in the same way where both the copy and its definition say that it goes
//     with its target (deletionPolicy: Delete), as far as the brake allows or an
//     admin has released just that list. Each time only the very Secret that was
//     looked at, by its UID and its resource version.
//   - What is not known is not taken for unclaimed: while a repository, a cluster
//     or the labels of namespaces can't be read, nothing is an orphan.
//   - While a definition or a tenant is suspended none of its copies is written or
//     deleted, and no workload is restarted for one.
//   - A workload is restarted only for a copy that stands right, once for each
//     change of its data; whatever becomes of that holds up no copy.
//   - A copy that is right is not written, after a restart neither.
//   - A cluster or a vault that is slow or down holds up only what needs it, and
//     one tenant's slow writes hold up no other's.
//   - No value, token or key leaves the package in a status, a log line, a metric
//     or an event.
//
// What a change of definitions would do before anybody makes it says package plan;
// it judges targets by the same rules (package reach), and what it looks at is bounded
// by package lookout.
//
// It loses nothing at a crash: all it remembers is rebuilt from the
// repositories, the vaults and the annotations on the copies.
package reconcile
