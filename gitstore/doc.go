// Package gitstore owns the tenants' Git repositories: what is desired, who
// changed it and when.
//
// A [Store] holds one bare repository a tenant. A [Repository] follows one
// branch and shows, as an immutable [catalog.Snapshot], the definitions at its HEAD; it
// makes commits for the API, and whoever pushes with Git is noticed at once.
//
// The folder is the truth; or a mirror of a repository on a server, if the
// tenant's [Settings] have a [Remote]. Both are read alike.
//
// It stands on rooms that know nothing of it. Those of the repositories themselves:
//
//	definition          what one definition says, and how its file is read and edited
//	catalog             what one commit holds, as a value: what everybody reads
//	signature           who signed a commit, and signing one: bytes alone
//	internal/gitdir     a bare repository on a disk, durably and to stock Git's liking
//	internal/remote     how a Git server is spoken to
//
// What is worked out from one, and made for it:
//
//	internal/budget     what reading a repository may cost
//	internal/message    the text of a commit: ours, and what is read of anybody's
//	internal/history    commits among each other: in whose history one is, what one lacks
//	internal/trust      which commits count, by who signed them; the key that ours get
//	internal/index      the catalog of a commit: walks, the state at HEAD, its cache
//	internal/lineage    which commits changed which file, remembered while somebody asks
//	internal/dropped    what was dropped from the branch by force
//	internal/draft      commits in memory, each on top of the one before; who claims what
//	operation           what can be asked of a definition, and what comes of it on a draft
//	internal/files      files by their paths, for commits that are not about definitions
//	internal/mirror     a folder that is the mirror of a remote one: fetches and pushes
//
// And how one is kept an eye on:
//
//	internal/shown      the snapshot that everybody sees, and who is told of another
//	internal/ticket     what is asked of its turn: taken up or given up, never both
//	internal/turns      whose walk goes on, of many that take long
//	internal/watch      what others do to branches, noticed at once
//	internal/telemetry  metrics, and spans of what is done
//	internal/condition  faults, problems and complaints: each told once
//	internal/failure    the kinds of error that the rooms fail with
//
// Package durable lends gitdir's way of writing a file to who keeps others in the data
// folder; package sleeper has thousands of things done now and then without a goroutine
// for each; package forge speaks with forges about pull requests; package gitstoretest
// gives tests real repositories.
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
//   - What is pushed costs no more than its size warrants, see package budget; what
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
// What is left here is what a Store and a Repository do, a file for each deed:
//
//	store, settings                      which repositories there are, and how each is kept
//	repository, calls                    one repository, and how callers get at it
//	serve, opening                       what is done in its turn, from the opening to the end
//	follow, signed, remote               how it goes where the branch is: as far as that is
//	                                     in force, and where the remote has it
//	problems                             what is told of it
//	at, history                          what any other commit holds; who changed it and
//	                                     when, and what a commit changed
//	write, queue, batch, revert          how a write is asked for and made, and what undoes
//	                                     one
//	propose, reference                   a write that people are to merge; other references
//	                                     than the branch
//	errors                               the kinds of error, and their words for the tenant
//
// The way of a write: [Repository.Apply] puts a request into the queue; the
// repository, in its turn, takes what waits there as a batch, makes of it a
// draft (a line of commits in memory, each judged by what the one before it
// left), hands the draft's objects to gitdir, and publishes the state that
// stands then. The way of a push: the watcher sees the branch move, and a walk
// along the first parents brings the state to where it is.
// Where there is a remote, a draft is made on top of what that holds at this
// moment, and pushed before gitdir gets it; and the repository fetches, from time
// to time and when it is told to: see package mirror.
package gitstore
