// Package gitdir keeps one bare Git repository on a disk, durably: its objects,
// the one reference that is moved, and what keeps both small. What the commits
// are about it does not know.
//
// Its rooms, of which each uses only those above it:
//
//	object   names, kinds, commits, trees and their edits: bytes, no disk
//	disk     how files are written, replaced and removed
//	pack     how objects are stored: packs, indexes, deltas
//	config   the repository's configuration and which formats are refused
//	refs     the one reference: lock, reflog, packed-refs, conflicts
//	gitdir   the repository: where its objects are found, how it advances, what
//	         maintenance brings together and removes
//
// What it guarantees:
//   - When [Repository.Advance] succeeds, objects and reference outlive a power
//     cut. If it fails, the reference is where it was, except for
//     [refs.ErrUnsettled], which says that this isn't known.
//   - At any instant, also after a crash, stock Git finds nothing wrong with the
//     repository, and may work on it at the same time: fetch, push, gc, repack.
//   - Objects are never removed before they stand elsewhere. Nothing is
//     dropped, reachable or not: that is for the operator, with git gc.
//   - What Git refuses to work with is not written to, also if it becomes so
//     while it is open, and no reference is made that conflicts with another.
//   - A folder is open once at a time, whatever its names; Git is no party to
//     that. What is gone is not made anew, and what is put in its place is read.
//   - What is in the folder costs bounded files, memory and time: what is no
//     file is refused, of many packs few are open.
//   - Where core.sharedRepository, core.logAllRefUpdates and
//     extensions.preciousObjects are set they are honoured. Only the
//     repository's own configuration counts, without what that includes.
//   - A pack that comes from elsewhere is seen whole and verified, or not at all,
//     and costs bounded disk, memory and work.
//   - Damage is an error that matches [object.ErrCorrupt] or [object.ErrMissing], not a crash.
//
// # What lies on disk
//
// Below the repository's folder; <ref> is such as refs/heads/main, <pack> is
// pack- and the checksum of a pack.
//
//	file                        written                        a crash leaves            swept by
//	--------------------------  -----------------------------  ------------------------  -----------------------
//	../<folder>.new             by Init, all of it, before it  a part of it              the next Init
//	                            is renamed to the folder
//	HEAD, description           by Init                        -                         -
//	config                      by Init, and by                the old one or the new    -
//	                            AllowForcePush, which renames
//	                            its lock; by people
//	secretsync/config,          by AllowForcePush: the new     them; being the same      the next
//	config.lock                 config, and a link to it. The  file shows that they are  AllowForcePush, Tidy
//	                            lock by git config, too        ours
//	secretsync/ref              by Advance: the commit the     it, to no effect;          the next Advance, Tidy,
//	                            reference is to point to.      being the same file as    Probe
//	                            Removed when that is on disk   <ref> shows that this
//	                                                           may not be on disk yet
//	<ref>.lock                  by Advance, as a link to       it; being the same file   the next Advance, Tidy,
//	                            secretsync/ref. By Git, too    as secretsync/ref shows   Probe; one of Git's is
//	                                                           that it is ours           left and reported
//	<ref>                       by Advance, which renames the  the old one or the new    -
//	                            lock; then its folder is       one; Settle syncs the
//	                            synced                         folder, and before that
//	                                                           writes it anew if a sync
//	                                                           has failed
//	logs/<ref>, logs/HEAD       by Advance, where Git would    a line of a move that     git reflog expire
//	                            write it too, and not synced   did not happen, or part
//	                                                           of one; Git skips those
//	secretsync/draft-<pack>.*   by Advance, before the pack    them                      Tidy
//	                            is shown
//	objects/pack/<pack>.keep    by Advance, from before the    it; its content shows     Tidy
//	                            pack shows till the reference  that it is ours
//	                            holds its commits: against gc
//	objects/pack/<pack>.pack    by Advance and by rounds,      a pack without an index,  Tidy, which knows it by
//	                            renamed from the draft         which Git ignores         the draft of the index
//	objects/pack/<pack>.idx     by Advance and by rounds,      a whole pack; if nothing  git gc, if at all
//	                            renamed last: Git goes by it   refers to it, garbage
//	secretsync/draft-merged.*   by a round of maintenance      them                      the next round, Tidy
//	packs and loose objects     by whoever. Once a round has   them, merged or not       the next round merges
//	that a round has merged     copied them they are left for                            them again
//	                            Config.Grace, then removed
//	secretsync/draft-incoming-* by Take, before the pack is    them                      Tidy
//	                            named; from there on as those
//	                            of Advance
//	secretsync/<name>           by WriteOwn, renamed from a    a draft; after a power    Tidy; the caller notices
//	                            draft, not synced              cut, torn content         what is torn
//	*/secretsync-probe          by Probe, to see if the disk   it                        the next Probe
//	                            takes something
//	packed-refs, shallow,       by Git; only read here         -                         -
//	gc.pid, info/alternates,
//	objects/maintenance.lock,
//	config.worktree
//
// # Why not go-git
//
// go-git reads configuration and applies deltas here, and the room's own comment
// says why it does no more of that room's work. Repositories as a whole are not
// left to it, because it
//   - flushes nothing to disk, and writes a reference in place, under a lock
//     that stock Git does not know;
//   - keeps the names of all objects in memory, for each repository, and its
//     list of packs until told otherwise, while git gc replaces them.
//
// The benchmarks of writing and following have go-git for their floor.
package gitdir
