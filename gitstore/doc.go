// Package gitstore owns the tenants' Git repositories: what is desired, who
// changed it and when.
//
// A [Store] holds one bare repository a tenant. A [Repository] follows one
// branch and shows, as an immutable [Snapshot], the definitions at its HEAD; it
// makes commits for the API, and whoever pushes with Git is noticed at once.
//
// What it guarantees:
//   - A write that was answered is on disk, objects and branch, and outlives a
//     power cut. Precondition, change and commit are one step, against callers
//     of this package as well as against other processes.
//   - At any instant, also after a crash, stock Git finds nothing wrong with
//     the repository. Objects are never removed before they stand elsewhere.
//   - The revision of a definition is the newest commit on the branch's
//     first-parent line that changed its file.
//   - Snapshots are read without a lock and never wait for the disk.
//   - A fault (damage, a full disk, a lock left behind) fails writes with
//     [ErrUnavailable], leaves reads at the last good snapshot, shows in
//     [Repository.Healthy], and is over when its cause is.
//
// What it does not: it runs no hooks for its own commits, and follows neither
// grafts nor replaced objects.
//
// go-git reads configuration and applies deltas here. Repositories as a whole
// are not left to it, because it
//   - flushes nothing to disk, and writes a reference in place, under a lock
//     that stock Git does not know;
//   - keeps the names of all objects in memory, for each repository, and its
//     list of packs until told otherwise, while git gc replaces them;
//   - takes trees apart entry by entry, to read as well as to write, where this
//     package edits and compares their bytes: of a thousand entries, one.
//
// The benchmarks of writing and following have go-git for their floor.
package gitstore
