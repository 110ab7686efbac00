package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/remote"
	"secretsync/gitstore/internal/telemetry"
)

// OpenPush has the remote say where the branch is, and the mirror be there; and where
// those references are whose names begin with one of the prefixes. The session is for
// one push.
func (m *Mirror) OpenPush(ctx context.Context, prefixes ...string) (*remote.Session, error) {
	begun := m.cfg.Clock.Now()
	if m.fault != nil && begun.Before(m.slow) {
		// The last attempt took that long: don't let everyone wait as long again.
		return nil, m.fault
	}
	session, err := m.cfg.Remote.OpenPush(ctx, append(prefixes, m.ref())...)
	if err == nil {
		if err = m.bring(ctx, session.Refs); err != nil {
			session.Close()
		}
	}
	m.noteExchange(ctx, begun, err)
	if err != nil {
		return nil, err
	}
	return session, nil
}

// OpenRef has the remote say where another reference is. The session is for one push
// of it.
func (m *Mirror) OpenRef(ctx context.Context, ref string) (*remote.Session, error) {
	return m.cfg.Remote.OpenPush(ctx, ref)
}

// Remove removes a reference at the remote that is at a commit; one that is gone is no
// error. [refs.ErrMoved] says that it is elsewhere, and stays.
func (m *Mirror) Remove(ctx context.Context, ref string, at object.Hash) error {
	session, err := m.OpenRef(ctx, ref)
	if err != nil {
		return err
	}
	defer session.Close()
	switch session.Refs.Hashes[ref] {
	case object.Hash{}:
		return nil
	case at:
	default:
		return refs.ErrMoved
	}
	// An answer that is lost is no harm: the next attempt sees what became of it.
	return judge(session.Push(ctx, []remote.Update{{Ref: ref, Old: at}}, nil))
}

// RejectedError says that the remote refuses a push by a rule of its own, such as
// a protected branch, in its words.
type RejectedError struct{ err *remote.Error }

func (e *RejectedError) Error() string {
	text := fmt.Sprintf("%s refuses the change to %s", e.err.Remote, e.err.Ref)
	if e.err.Words != "" {
		text += ": " + e.err.Words
	}
	return text
}

// Is reports that a RejectedError is of kind failure.ErrConflict.
func (e *RejectedError) Is(target error) bool { return target == failure.ErrConflict }

// Push publishes what was drafted. [refs.ErrMoved] says that somebody else was
// faster.
func (m *Mirror) Push(ctx context.Context, session *remote.Session, update remote.Update, objects *pack.Builder) error {
	content, _, _ := objects.Finish()
	err := session.Push(ctx, []remote.Update{update}, func() io.Reader { return bytes.NewReader(content) })
	if remote.KindOf(err) == remote.Unknown {
		err = m.find(ctx, update, content, err)
	}
	m.cfg.Metrics.Pushed(Outcome(err))
	return judge(err)
}

// judge returns what an error of a push means to who writes.
func judge(err error) error {
	told, ok := errors.AsType[*remote.Error](err)
	switch {
	case !ok:
		return err
	case told.Kind == remote.Stale:
		return fmt.Errorf("%w: %w", refs.ErrMoved, err)
	case told.Kind == remote.Rejected:
		return &RejectedError{told}
	}
	return err
}

// pausesOfFind are those between attempts to find out what became of a push.
var pausesOfFind = wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Cap: 2 * time.Second, Steps: 1 << 30}

// find finds out what became of a push that was not answered, and makes it again
// if nothing did. It takes as long as an exchange may, and no longer.
func (m *Mirror) find(ctx context.Context, update remote.Update, content []byte, lost error) error {
	m.cfg.Log.Warn("the remote repository did not answer a push; it is asked what became of it", "tenant", m.cfg.Tenant, "commit", update.New, "error", lost)
	bounded, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	var err error
	for pauses := pausesOfFind; bounded.Err() == nil; {
		var landed bool
		if landed, err = m.landed(bounded, update); landed || errors.Is(err, refs.ErrMoved) {
			return err
		}
		if err == nil {
			err = m.pushAgain(bounded, update, content)
			if kind := remote.KindOf(err); err == nil || kind == remote.Rejected {
				return err
			}
			// Stale: it landed meanwhile, or somebody was faster; that shows at once.
		}
		timer := m.cfg.Clock.NewTimer(pauses.Step())
		select {
		case <-timer.C():
		case <-bounded.Done():
			timer.Stop()
		}
	}
	if update.Ref == m.ref() {
		m.unproven = update.New
	}
	return errors.Join(failure.ErrUnproven, lost, err)
}

// landed reports whether what was pushed is in the history of the remote's
// reference. It fails with [refs.ErrMoved] if that is where it can't come to any
// more.
func (m *Mirror) landed(ctx context.Context, update remote.Update) (bool, error) {
	told, err := m.cfg.Remote.Refs(ctx, update.Ref)
	if err != nil {
		return false, err
	}
	switch head := told.Hashes[update.Ref]; head {
	case update.New:
		return true, nil
	case update.Old:
		return false, nil
	case object.Hash{}:
		return false, refs.ErrMoved
	default:
		done, err := m.TakeIn(ctx, head, update.Old)
		if err != nil {
			return false, err
		}
		defer done()
		landed, err := m.isIn(ctx, update.New, head)
		if err == nil && !landed {
			err = refs.ErrMoved
		}
		return landed, err
	}
}

// isIn reports whether a commit is in the history of another, all of which is
// here.
func (m *Mirror) isIn(ctx context.Context, commit, head object.Hash) (bool, error) {
	turn := m.cfg.Turns.Short()
	defer turn.End()
	if _, err := m.cfg.Git.Reader(ctx, budget.PerAnswer).Read(commit, object.KindCommit, pack.MaxCommit); errors.Is(err, object.ErrMissing) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	missing, err := m.commits(ctx, turn).Missing(commit, head)
	return err == nil && missing.None(), err
}

// pushAgain is the same push in a session of its own.
func (m *Mirror) pushAgain(ctx context.Context, update remote.Update, content []byte) error {
	session, err := m.cfg.Remote.OpenPush(ctx, update.Ref)
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Push(ctx, []remote.Update{update}, func() io.Reader { return bytes.NewReader(content) })
}

// tellUnproven logs what became of a push after all, once the mirror is where the
// remote is.
func (m *Mirror) tellUnproven(ctx context.Context) {
	if m.unproven.IsZero() {
		return
	}
	at, err := m.cfg.Git.Head()
	if err != nil {
		return
	}
	landed, err := m.isIn(ctx, m.unproven, at)
	if err != nil {
		return
	}
	what := "a change of which it was not known whether it landed did not"
	if landed {
		what = "a change of which it was not known whether it landed did"
	}
	m.cfg.Log.Info(what, "tenant", m.cfg.Tenant, "commit", m.unproven)
	m.unproven = object.Hash{}
}

// Outcome is an error as a label: one of a few words.
func Outcome(err error) string {
	switch kind := remote.KindOf(err); {
	case err == nil:
		return telemetry.Done
	case errors.Is(err, failure.ErrUnproven):
		return "unknown"
	case errors.Is(err, refs.ErrMoved):
		return "stale"
	case errors.Is(err, failure.ErrConflict):
		return "absent"
	case kind != "":
		return strings.ReplaceAll(string(kind), " ", "_")
	}
	return "failed"
}
