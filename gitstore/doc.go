// Package gitstore owns the tenants' Git repositories: what is desired, who
// changed it and when.
//
// A [Store] holds one bare repository a tenant. A [Repository] follows one
// branch and shows, as an immutable [Snapshot], the definitions at its HEAD; it
// makes commits for the API, and whoever pushes with Git is noticed at once.
//
// The folder is the truth; or a mirror of a repository on a server, if the
// tenant's [Settings] have a [Remote]. Both are read alike.
//
// It stands on three rooms that know nothing of it. What one definition says, and
// how its file is read and edited, is the business of package definition; how a
// bare repository is kept on a disk, durably and to stock Git's liking, that of
// package gitdir; how a Git server is spoken to, that of package remote. Package
// durable lends gitdir's way of writing a file to who keeps others in the data
// folder; package gitstoretest gives tests real repositories.
//
// What it guarantees:
//
//   - A write that was answered is on disk, objects and branch, and outlives a
//     power cut. Precondition, change and commit are one step, against callers
//     of this package as well as against other processes. In a mirror, a write
//     that was answered is at the server; none is made twice, also if the
//     server's answer is lost.
//
//   - At any instant, also after a crash, stock Git finds nothing wrong with
//     the repository. Objects are never removed before they stand elsewhere.
//
//   - The revision of a definition is the newest commit on the branch's
//     first-parent line that changed its file.
//
//   - What is pushed costs no more than its size warrants, see budget.go; what
//     is over that is left unread and the tenant is told. Of more definitions
//     than a tenant is allowed those with the lesser names are served.
//
//   - Snapshots are read without a lock and never wait for the disk.
//
//   - No commit of the API begins a history beside branches that are there. One
//     that is dropped by force is told: see [Repository.Problems].
//
//   - Repositories don't wait for each other: one is opened, followed and closed
//     beside the others, and what takes long goes on in turns. What is closed is
//     left alone: no goroutine, file, watch or metric of it remains.
//
//   - A fault (damage, a full disk, a lock left behind, no repository at all)
//     fails writes with [ErrUnavailable], leaves reads at the last good snapshot,
//     shows in [Repository.Healthy], and is over when its cause is.
//
//   - Where commits have to be signed, the newest revision whose first-parent line is
//     signed throughout is HEAD: see [Signatures] and [Repository.Withheld].
//
// What it does not: it runs no hooks for its own commits, and follows neither
// grafts nor replaced objects.
//
// Where a line belongs:
//
//	store, opening, settings, names      which repositories there are, and how each
//	                                     is opened and configured
//	repository, watch, turns, health,    one repository: what its goroutine does, and
//	problems, dropped, cause, metrics    what is told of it
//	snapshot, state, walk, version,      what stands at HEAD, and how that is worked
//	census, cache, budget, at, file,     out; what any other commit holds, and where two
//	mergebase                            commits parted
//	signed, signing                      which of it counts, and what ours are signed with
//	history, lineage, message, trailer,  who changed it and when, what a commit changed, and
//	commit, revert                       what undoes that
//	write, operation, precondition,      how a write is asked for, judged and made
//	claims, queue, batch, draft
//	reference, fetchref                  other references than the branch: how one is moved,
//	                                     how one of the remote is brought here
//	propose                              a write that people are to merge, and its branch
//	origin, fetch, publish               the remote repository: how a mirror stands to it,
//	                                     how it is followed and pushed to
//
// These are no packages of their own. All of them are about entries, snapshots and
// revisions, which this package shows: the third and fourth together would need 56
// identifiers of the rest and give it 23. To gitdir and its rooms 43 lead, and
// none back.
//
// The way of a write: [Repository.Apply] puts a request into the queue; the
// repository's one goroutine takes what waits there as a batch, makes of it a
// draft (a line of commits in memory, each judged by what the one before it
// left), hands the draft's objects to gitdir, and publishes the state that
// stands then. The way of a push: the watcher sees the branch move, and a walk
// along the first parents brings the state to where it is.
// Where there is a remote, a draft is made on top of what that holds at this
// moment, and pushed before gitdir gets it; and the goroutine fetches, from time
// to time and when it is told to: see publish.go and origin.go.
package gitstore
