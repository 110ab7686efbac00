package gitstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/remote"
)

const (
	// workPerFetch is what unpacking a fetched pack may cost, in the bytes that
	// package pack counts: about a minute of one processor, in turns.
	workPerFetch = 16 << 30
	// mostFetched is how many objects may come at once. Each takes 150 bytes
	// of memory while it is taken in.
	mostFetched = 1_000_000
)

// fetch asks the remote where its branch is, and has the mirror's be there. It
// takes no longer than the remote's timeout allows, and ends with ctx.
func (r *Repository) fetch(ctx context.Context) error {
	o := r.origin
	begun := r.clock.Now()
	before, _ := r.git.Head()
	told, err := o.remote.Refs(ctx, r.settings.Branch.ref())
	if err == nil {
		told, err = r.confirm(ctx, told)
	}
	if err == nil {
		err = r.bring(ctx, told)
	}
	if at, _ := r.git.Head(); err == nil && at != before {
		r.tellFetched(ctx, begun, before, at)
	}
	r.noteExchange(ctx, begun, err)
	return err
}

// confirm asks the remote again whose branch seems to have gone back, to where the
// mirror was before. Of a forge with several servers the one that is asked for
// fetches may lag behind the one that took our push; the one that takes pushes
// knows. Who may not push asks again later: what is told twice is so.
func (r *Repository) confirm(ctx context.Context, told remote.Refs) (remote.Refs, error) {
	o, ref := r.origin, r.settings.Branch.ref()
	head := told.Hashes[ref]
	at, err := r.git.Head()
	receded := o.receded
	o.receded = object.Hash{} // only what is told twice running is so
	if err != nil || head.IsZero() || at.IsZero() || head == at || head == receded {
		return told, err
	}
	if back, err := r.isIn(ctx, head, at); err != nil || !back {
		return told, nil // what ails the mirror shows when it is followed
	}
	session, err := o.remote.OpenPush(ctx, ref)
	if err == nil {
		defer session.Close()
		return session.Refs, nil
	}
	o.receded = head
	r.log.Debug("the remote repository may lag behind itself; it is asked again", "tenant", r.tenant.s, "commit", head, "mirror", at, "error", err)
	told.Hashes[ref] = at
	return told, nil
}

// fetchDue is fetch when it is time for it, or again says so.
func (r *Repository) fetchDue(ctx context.Context, again bool) {
	if o := r.origin; o != nil && (again || !r.clock.Now().Before(o.next)) {
		_ = r.fetch(ctx) // kept as the origin's fault
	}
}

// noteExchange takes note of whether the mirror is what the remote holds.
func (r *Repository) noteExchange(ctx context.Context, begun time.Time, err error) {
	if err != nil && ctx.Err() != nil {
		return // it was given up
	}
	o := r.origin
	now := r.clock.Now()
	r.metrics.fetched(err, now)
	r.complain("the remote repository could not be asked; it is tried again", err)
	if o.fault = err; err == nil {
		o.later(now)
		o.fetched, o.slow, o.pauses = now.UTC().Truncate(time.Second), time.Time{}, pauses(o.of.poll)
		r.freshness.Store(&Freshness{Remote: o.of.String(), Fetched: o.fetched, Confirmed: true})
		r.problems.set(r, remoteProblem)
		if !o.known(r.settings.Branch) || o.mark.Empty != r.emptyHere() || now.Sub(o.mark.Fetched) > markedAnew {
			r.markFetched()
		}
		r.tellUnproven(ctx)
		return
	}
	took := now.Sub(begun)
	o.slow = now.Add(took)
	o.next = now.Add(max(o.pauses.Step(), took))
	if told, ok := errors.AsType[*remote.Error](err); ok && told.After > 0 {
		o.next = now.Add(told.After)
	}
	was := *r.freshness.Load()
	was.Failing = unavailable("ask the remote repository of tenant "+r.tenant.s, err)
	r.freshness.Store(&was)
	sentence := Cause(err)
	if sentence == "" {
		sentence = "the mirror can't be brought up to date; have the operator look into the log"
	}
	if !o.fetched.IsZero() {
		sentence += fmt.Sprintf("; what is served is as of %s", o.fetched.Format(time.RFC3339))
	}
	r.problems.set(r, remoteProblem, sentence)
}

// emptyHere reports whether the mirror's branch has no commit.
func (r *Repository) emptyHere() bool {
	at, err := r.git.Head()
	return err == nil && at.IsZero()
}

func (r *Repository) markFetched() {
	o := r.origin
	next := mark{URL: o.of.String(), Branch: r.settings.Branch.s, Fetched: o.fetched, Empty: r.emptyHere()}
	err := r.writeMark(next)
	r.complain("when the remote was asked last will not be known after a restart", err)
	if err == nil {
		o.mark = next
	}
}

// absentError says that the branch is not where it should be at the remote. It is
// never taken for a branch without definitions.
type absentError struct{ sentence string }

func (e *absentError) Error() string { return e.sentence }

// Is reports that an absentError is of kind ErrConflict: a person must act.
func (e *absentError) Is(target error) bool { return target == ErrConflict }

// bring has the mirror's branch be where the remote says its own is.
func (r *Repository) bring(ctx context.Context, told remote.Refs) error {
	o := r.origin
	head := told.Hashes[r.settings.Branch.ref()]
	at, err := r.git.Head()
	if err != nil {
		return err
	}
	if head.IsZero() {
		return r.absentAtRemote(ctx, at)
	}
	another := !o.known(r.settings.Branch)
	if head == at && !o.doubted && !another {
		return nil
	}
	done, err := r.takeIn(ctx, head, at)
	if err != nil {
		return err
	}
	defer done()
	if o.mark == (mark{}) && !at.IsZero() {
		if err := r.contains(ctx, head, at); err != nil {
			return err
		}
	}
	if head != at {
		if err := r.git.Move(ctx, at, head); err != nil {
			return err
		}
		r.git.Note()
	}
	if another && o.mark != (mark{}) && o.mark.URL != o.of.String() {
		// What happened to the other one's history says nothing of this one's.
		r.switched = true
	}
	if o.doubted {
		o.doubted, r.stuck = false, stuck{}
	}
	return nil
}

// contains fails unless the commit that the folder has of its own is in the
// history of the remote's: it would be lost to the mirror else.
func (r *Repository) contains(ctx context.Context, head, own object.Hash) error {
	turn := r.store.follows.short()
	defer turn.end()
	missing, err := findDropped(ctx, turn, r.git.Reader(ctx, workPerAnswer), own, head)
	if err != nil {
		return err
	}
	if missing.commits > 0 || missing.partial {
		return r.notContained(own)
	}
	return nil
}

func (r *Repository) notContained(own object.Hash) error {
	return &absentError{fmt.Sprintf("the repository here has commits of its own that %s has not, so it is not made a mirror of it: push commit %s there, to branch %s, or have the operator move the folder away",
		r.origin.of, own, quoteBranch(r.settings.Branch.s))}
}

// absentAtRemote judges that the remote has no such branch, where the mirror's is at.
// Only of a remote that has no branch and never had one that is right.
func (r *Repository) absentAtRemote(ctx context.Context, at object.Hash) error {
	o := r.origin
	branch := quoteBranch(r.settings.Branch.s)
	if o.mark == (mark{}) && !at.IsZero() {
		return r.notContained(at)
	}
	there, err := o.remote.Refs(ctx, refs.BranchFolder)
	if err != nil && remote.KindOf(err) != remote.TooLarge {
		return err
	}
	var names []string
	for name := range there.Hashes {
		if short, ok := strings.CutPrefix(name, refs.BranchFolder); ok {
			names = append(names, short)
		}
	}
	slices.Sort(names)
	what := fmt.Sprintf("branch %s is followed and is not there", branch)
	switch {
	case err == nil && len(names) == 0 && at.IsZero():
		return nil
	case err == nil && len(names) == 0:
		return &absentError{fmt.Sprintf("%s has no branch any more; push commit %s to branch %s there, or have the operator set another url", o.of, at, branch)}
	case len(names) > 0:
		what += ", but " + listed(names, len(names), quoteBranch)
		if short, ok := strings.CutPrefix(there.Head, refs.BranchFolder); ok && short != r.settings.Branch.s {
			what += fmt.Sprintf(" (the default is %s)", quoteBranch(short))
		}
	}
	what += " at " + o.of.String()
	if !at.IsZero() {
		what += fmt.Sprintf(", where it was at commit %s", at)
	}
	return &absentError{what + ": push to it, or have the operator set branch to the one that holds the definitions"}
}

// takeIn has the objects of a commit that the remote has be here, where those of
// some others are, if they are any. Till done is called no git gc takes them for
// rubbish.
func (r *Repository) takeIn(ctx context.Context, head object.Hash, here ...object.Hash) (done func(), err error) {
	o := r.origin
	if f := o.refused; f.err != nil && f.head == head && r.clock.Now().Before(f.until) {
		return nil, f.err
	}
	if o.doubted {
		here = nil
	}
	if done, err = r.take(ctx, o, head, here...); err != nil {
		r.noteRefused(head, err)
		return nil, err
	}
	o.refused = refusedHead{}
	return done, nil
}

// take is takeIn for any goroutine.
func (r *Repository) take(ctx context.Context, o *origin, head object.Hash, here ...object.Hash) (done func(), err error) {
	if slices.Contains(here, head) {
		return func() {}, nil
	}
	wanted := remote.Wanted{Wants: []object.Hash{head}, MaxBytes: r.maxMirror}
	for _, at := range here {
		wanted.Haves = append(wanted.Haves, r.haves(ctx, at)...)
	}
	turn := r.store.follows.short()
	defer turn.end()
	err = o.remote.Fetch(ctx, wanted, func(in io.Reader) (err error) {
		done, err = r.git.Take(ctx, in, gitdir.TakeBounds{
			Disk: r.maxMirror, Objects: mostFetched, Work: workPerFetch, Between: func() error { return turn.pass(ctx) },
		})
		return err
	})
	if err == nil {
		// What the branch is to be moved to must be there, whatever has come.
		_, err = r.git.Reader(ctx, workPerAnswer).ReadVerified(head, object.KindCommit, pack.MaxCommit)
		if err != nil {
			done()
		}
	}
	if err != nil {
		return nil, err
	}
	return done, nil
}

// noteRefused has a commit left alone for a while that can't be taken in, if that
// is the commit's doing.
func (r *Repository) noteRefused(head object.Hash, err error) {
	if !isOverLimit(err) && !errors.Is(err, object.ErrCorrupt) && !errors.Is(err, object.ErrMissing) {
		return
	}
	f := &r.origin.refused
	if f.err == nil || f.head != head {
		f.pauses = pauses(mostPauseOfRefused)
		f.pauses.Duration = r.origin.of.poll
	}
	f.head, f.err, f.until = head, err, r.clock.Now().Add(f.pauses.Step())
}

// isOverLimit reports whether a fetch failed because it would cost too much.
func isOverLimit(err error) bool {
	kinds := []error{gitdir.ErrNoRoom, pack.ErrTooCostly, pack.ErrOverBudget, disk.ErrTooLarge, remote.TooLarge}
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}

// haves are commits that the remote is told we have, newest first: where we are,
// and some before that, for a branch that was moved by force.
func (r *Repository) haves(ctx context.Context, at object.Hash) (list []object.Hash) {
	const farthest = 256
	reader := r.git.Reader(ctx, workPerAnswer)
	for back, mark := 0, 0; !at.IsZero() && back <= farthest; back++ {
		if back == mark {
			list = append(list, at)
			mark = max(mark+1, mark*3/2)
		}
		content, err := reader.Read(at, object.KindCommit, pack.MaxCommit)
		if err != nil {
			break
		}
		c, err := object.ParseCommit(at, content)
		if err != nil {
			break
		}
		at = c.Parent
	}
	return list
}
