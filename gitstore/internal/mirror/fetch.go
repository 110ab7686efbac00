package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/failure"
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

// Fetch asks the remote where its branch is, and has the mirror's be there. It
// takes no longer than the remote's timeout allows, and ends with ctx.
func (m *Mirror) Fetch(ctx context.Context) error {
	begun := m.cfg.Clock.Now()
	before, _ := m.cfg.Git.Head()
	told, err := m.cfg.Remote.Refs(ctx, m.ref())
	if err == nil {
		told, err = m.confirm(ctx, told)
	}
	if err == nil {
		err = m.bring(ctx, told)
	}
	if at, _ := m.cfg.Git.Head(); err == nil && at != before {
		m.cfg.Spans.Fetched(ctx, begun, before, at, m.cfg.Name)
	}
	m.noteExchange(ctx, begun, err)
	return err
}

// confirm asks the remote again whose branch seems to have gone back, to where the
// mirror was before. Of a forge with several servers the one that is asked for
// fetches may lag behind the one that took our push; the one that takes pushes
// knows. Who may not push asks again later: what is told twice is so.
func (m *Mirror) confirm(ctx context.Context, told remote.Refs) (remote.Refs, error) {
	ref := m.ref()
	head := told.Hashes[ref]
	at, err := m.cfg.Git.Head()
	receded := m.receded
	m.receded = object.Hash{} // only what is told twice running is so
	if err != nil || head.IsZero() || at.IsZero() || head == at || head == receded {
		return told, err
	}
	if back, err := m.isIn(ctx, head, at); err != nil || !back {
		return told, nil // what ails the mirror shows when it is followed
	}
	session, err := m.cfg.Remote.OpenPush(ctx, ref)
	if err == nil {
		defer session.Close()
		return session.Refs, nil
	}
	m.receded = head
	m.cfg.Log.Debug("the remote repository may lag behind itself; it is asked again", "tenant", m.cfg.Tenant, "commit", head, "mirror", at, "error", err)
	told.Hashes[ref] = at
	return told, nil
}

// noteExchange takes note of whether the mirror is what the remote holds.
func (m *Mirror) noteExchange(ctx context.Context, begun time.Time, err error) {
	if err != nil && ctx.Err() != nil {
		return // it was given up
	}
	now := m.cfg.Clock.Now()
	m.cfg.Metrics.Fetched(Outcome(err), now)
	m.cfg.Condition.Complain("the remote repository could not be asked; it is tried again", err)
	if m.fault = err; err == nil {
		m.later(now)
		m.fetched, m.slow, m.pauses = now.UTC().Truncate(time.Second), time.Time{}, condition.Pauses(m.cfg.Poll)
		m.tell(Freshness{Remote: m.cfg.Name, Fetched: m.fetched, Confirmed: true})
		m.cfg.Condition.SetProblems(condition.RemoteProblem)
		if !m.known() || m.mark.Empty != m.emptyHere() || now.Sub(m.mark.Fetched) > markedAnew {
			m.markFetched()
		}
		m.tellUnproven(ctx)
		return
	}
	took := now.Sub(begun)
	m.slow = now.Add(took)
	m.next = now.Add(max(m.pauses.Step(), took))
	if told, ok := errors.AsType[*remote.Error](err); ok && told.After > 0 {
		m.next = now.Add(told.After)
	}
	was := m.freshness
	was.Failing = failure.CannotNow("ask the remote repository of tenant "+m.cfg.Tenant, err)
	m.tell(was)
	sentence := m.cfg.Cause(err)
	if sentence == "" {
		sentence = "the mirror can't be brought up to date; have the operator look into the log"
	}
	if !m.fetched.IsZero() {
		sentence += fmt.Sprintf("; what is served is as of %s", m.fetched.Format(time.RFC3339))
	}
	m.cfg.Condition.SetProblems(condition.RemoteProblem, sentence)
}

// emptyHere reports whether the mirror's branch has no commit.
func (m *Mirror) emptyHere() bool {
	at, err := m.cfg.Git.Head()
	return err == nil && at.IsZero()
}

func (m *Mirror) markFetched() {
	next := Mark{URL: m.cfg.Name, Branch: m.cfg.Branch, Fetched: m.fetched, Empty: m.emptyHere()}
	err := WriteMark(m.cfg.Git, next)
	m.cfg.Condition.Complain("when the remote was asked last will not be known after a restart", err)
	if err == nil {
		m.mark = next
	}
}

// AbsentError says that the branch is not where it should be at the remote. It is
// never taken for a branch without definitions.
type AbsentError struct{ sentence string }

func (e *AbsentError) Error() string { return e.sentence }

// Is reports that an AbsentError is of kind failure.ErrConflict: a person must act.
func (e *AbsentError) Is(target error) bool { return target == failure.ErrConflict }

// bring has the mirror's branch be where the remote says its own is.
func (m *Mirror) bring(ctx context.Context, told remote.Refs) error {
	head := told.Hashes[m.ref()]
	at, err := m.cfg.Git.Head()
	if err != nil {
		return err
	}
	if head.IsZero() {
		return m.absentAtRemote(ctx, at)
	}
	another := !m.known()
	if head == at && !m.doubted && !another {
		return nil
	}
	done, err := m.TakeIn(ctx, head, at)
	if err != nil {
		return err
	}
	defer done()
	if m.mark == (Mark{}) && !at.IsZero() {
		if err := m.contains(ctx, head, at); err != nil {
			return err
		}
	}
	if head != at {
		if err := m.cfg.Git.Move(ctx, at, head); err != nil {
			return err
		}
		m.cfg.Git.Note()
	}
	if another && m.mark != (Mark{}) && m.mark.URL != m.cfg.Name {
		m.another = true
	}
	if m.doubted {
		m.doubted, m.renewed = false, true
	}
	return nil
}

// contains fails unless the commit that the folder has of its own is in the
// history of the remote's: it would be lost to the mirror else.
func (m *Mirror) contains(ctx context.Context, head, own object.Hash) error {
	turn := m.cfg.Turns.Short()
	defer turn.End()
	missing, err := m.commits(ctx, turn).Missing(own, head)
	if err != nil {
		return err
	}
	if !missing.None() {
		return m.notContained(own)
	}
	return nil
}

func (m *Mirror) notContained(own object.Hash) error {
	return &AbsentError{fmt.Sprintf("the repository here has commits of its own that %s has not, so it is not made a mirror of it: push commit %s there, to branch %s, or have the operator move the folder away",
		m.cfg.Name, own, condition.QuoteBranch(m.cfg.Branch))}
}

// absentAtRemote judges that the remote has no such branch, where the mirror's is at.
// Only of a remote that has no branch and never had one that is right.
func (m *Mirror) absentAtRemote(ctx context.Context, at object.Hash) error {
	branch := condition.QuoteBranch(m.cfg.Branch)
	if m.mark == (Mark{}) && !at.IsZero() {
		return m.notContained(at)
	}
	there, err := m.cfg.Remote.Refs(ctx, refs.BranchFolder)
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
		return &AbsentError{fmt.Sprintf("%s has no branch any more; push commit %s to branch %s there, or have the operator set another url", m.cfg.Name, at, branch)}
	case len(names) > 0:
		what += ", but " + condition.Listed(names, len(names), condition.QuoteBranch)
		if short, ok := strings.CutPrefix(there.Head, refs.BranchFolder); ok && short != m.cfg.Branch {
			what += fmt.Sprintf(" (the default is %s)", condition.QuoteBranch(short))
		}
	}
	what += " at " + m.cfg.Name
	if !at.IsZero() {
		what += fmt.Sprintf(", where it was at commit %s", at)
	}
	return &AbsentError{what + ": push to it, or have the operator set branch to the one that holds the definitions"}
}

// TakeIn has the objects of a commit that the remote has be here, where those of
// some others are, if they are any. Till done is called no git gc takes them for
// rubbish.
func (m *Mirror) TakeIn(ctx context.Context, head object.Hash, here ...object.Hash) (done func(), err error) {
	if f := m.refused; f.err != nil && f.head == head && m.cfg.Clock.Now().Before(f.until) {
		return nil, f.err
	}
	if m.doubted {
		here = nil
	}
	if done, err = m.take(ctx, head, here...); err != nil {
		m.noteRefused(head, err)
		return nil, err
	}
	m.refused = refusedHead{}
	return done, nil
}

// take is TakeIn for any goroutine.
func (m *Mirror) take(ctx context.Context, head object.Hash, here ...object.Hash) (done func(), err error) {
	if slices.Contains(here, head) {
		return func() {}, nil
	}
	wanted := remote.Wanted{Wants: []object.Hash{head}, MaxBytes: m.cfg.MaxBytes}
	for _, at := range here {
		wanted.Haves = append(wanted.Haves, m.commits(ctx, nil).Recent(at)...)
	}
	turn := m.cfg.Turns.Short()
	defer turn.End()
	err = m.cfg.Remote.Fetch(ctx, wanted, func(in io.Reader) (err error) {
		done, err = m.cfg.Git.Take(ctx, in, gitdir.TakeBounds{
			Disk: m.cfg.MaxBytes, Objects: mostFetched, Work: workPerFetch, Between: func() error { return turn.Pass(ctx) },
		})
		return err
	})
	if err == nil {
		// What the branch is to be moved to must be there, whatever has come.
		_, err = m.cfg.Git.Reader(ctx, budget.PerAnswer).ReadVerified(head, object.KindCommit, pack.MaxCommit)
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
func (m *Mirror) noteRefused(head object.Hash, err error) {
	if !IsOverLimit(err) && !errors.Is(err, object.ErrCorrupt) && !errors.Is(err, object.ErrMissing) {
		return
	}
	f := &m.refused
	if f.err == nil || f.head != head {
		f.pauses = condition.Pauses(mostPauseOfRefused)
		f.pauses.Duration = m.cfg.Poll
	}
	f.head, f.err, f.until = head, err, m.cfg.Clock.Now().Add(f.pauses.Step())
}

// IsOverLimit reports whether a fetch failed because it would cost too much.
func IsOverLimit(err error) bool {
	kinds := []error{gitdir.ErrNoRoom, pack.ErrTooCostly, pack.ErrOverBudget, disk.ErrTooLarge, remote.TooLarge}
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}
