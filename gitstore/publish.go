package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/remote"
)

// A write to a remote repository, step by step. Whatever fails before the push
// leaves the remote as it was, and no answer is given on a guess:
//
//	open     the remote says where its branch is          failed: ErrUnavailable
//	bring    the mirror is brought there, if it is
//	         elsewhere: what is judged is the truth       failed: ErrUnavailable
//	draft    the commits are made on top of that
//	push     one request: the pack, and "from old to new"
//	           accepted                                   mirror follows; answered
//	           stale: somebody was faster                 all again, so many times
//	           rejected: a rule of the remote             ErrConflict, with its words;
//	                                                      of several writes each alone
//	           no answer                                  find, till the timeout:
//	find     the remote says where its branch is
//	           at new, or new is in its history           as accepted
//	           at old                                     the same push again: what has
//	                                                      the same names is the same
//	           elsewhere                                  all again, as stale
//	           it can't be found out                      ErrUnavailable, and that it
//	                                                      is not known
//
// That nothing is written twice rests on "from old to new" alone: a push that
// arrives late, after all was given up, finds the branch at old, and then it is
// what the next open shows; or elsewhere, and then it is refused. What becomes of
// it is logged. A crash between the push and the mirror's following is mended by
// the next fetch.

// catchUp brings the settings, the mirror and the state to what holds now, as every
// write begins. The session is for one push of the branch or of references that
// begin with the prefixes; nil: the repository is no mirror. [refs.ErrMoved] says
// that the settings changed meanwhile.
func (r *Repository) catchUp(ctx context.Context, prefixes ...string) (session *remote.Session, err error) {
	if err := r.reconfigure(ctx); err != nil {
		return nil, err
	}
	asked := r.origin
	if asked != nil {
		if session, err = r.openPush(ctx, prefixes...); err != nil {
			return nil, err
		}
	}
	err = r.follow(ctx, false)
	if err == nil && r.origin != asked {
		err = refs.ErrMoved // the session is for another branch, or another remote
	}
	if err != nil && session != nil {
		session.Close()
		session = nil
	}
	return session, err
}

// openPush has the remote say where the branch is, and the mirror be there; and where
// those references are whose names begin with one of the prefixes. The session is for
// one push.
func (r *Repository) openPush(ctx context.Context, prefixes ...string) (*remote.Session, error) {
	o := r.origin
	begun := r.clock.Now()
	if o.fault != nil && begun.Before(o.slow) {
		// The last attempt took that long: don't let everyone wait as long again.
		return nil, o.fault
	}
	session, err := o.remote.OpenPush(ctx, append(prefixes, r.settings.Branch.ref())...)
	if err == nil {
		if err = r.bring(ctx, session.Refs); err != nil {
			session.Close()
		}
	}
	r.noteExchange(ctx, begun, err)
	if err != nil {
		return nil, err
	}
	return session, nil
}

// rejectedError says that the remote refuses a push by a rule of its own, such as
// a protected branch, in its words.
type rejectedError struct{ err *remote.Error }

func (e *rejectedError) Error() string {
	text := fmt.Sprintf("%s refuses the change to %s", e.err.Remote, e.err.Ref)
	if e.err.Words != "" {
		text += ": " + e.err.Words
	}
	return text
}

// Is reports that a rejectedError is of kind ErrConflict.
func (e *rejectedError) Is(target error) bool { return target == ErrConflict }

// push publishes what was drafted. [refs.ErrMoved] says that somebody else was
// faster.
func (r *Repository) push(ctx context.Context, session *remote.Session, update remote.Update, objects *pack.Builder) error {
	content, _, _ := objects.Finish()
	err := session.Push(ctx, []remote.Update{update}, func() io.Reader { return bytes.NewReader(content) })
	if remote.KindOf(err) == remote.Unknown {
		err = r.find(ctx, update, content, err)
	}
	r.metrics.pushed(err)
	return judgePush(err)
}

// judgePush returns what an error of a push means to who writes.
func judgePush(err error) error {
	told, ok := errors.AsType[*remote.Error](err)
	switch {
	case !ok:
		return err
	case told.Kind == remote.Stale:
		return fmt.Errorf("%w: %w", refs.ErrMoved, err)
	case told.Kind == remote.Rejected:
		return &rejectedError{told}
	}
	return err
}

// pausesOfFind are those between attempts to find out what became of a push.
var pausesOfFind = wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Cap: 2 * time.Second, Steps: 1 << 30}

// find finds out what became of a push that was not answered, and makes it again
// if nothing did. It takes as long as an exchange may, and no longer.
func (r *Repository) find(ctx context.Context, update remote.Update, content []byte, lost error) error {
	o := r.origin
	r.log.Warn("the remote repository did not answer a push; it is asked what became of it", "tenant", r.tenant.s, "commit", update.New, "error", lost)
	bounded, cancel := context.WithTimeout(ctx, o.of.timeout())
	defer cancel()
	var err error
	for pauses := pausesOfFind; bounded.Err() == nil; {
		var landed bool
		if landed, err = r.landed(bounded, update); landed || errors.Is(err, refs.ErrMoved) {
			return err
		}
		if err == nil {
			err = r.pushAgain(bounded, update, content)
			if kind := remote.KindOf(err); err == nil || kind == remote.Rejected {
				return err
			}
			// Stale: it landed meanwhile, or somebody was faster; that shows at once.
		}
		timer := r.clock.NewTimer(pauses.Step())
		select {
		case <-timer.C():
		case <-bounded.Done():
			timer.Stop()
		}
	}
	if update.Ref == r.settings.Branch.ref() {
		o.unproven = update.New
	}
	return errors.Join(ErrUnproven, lost, err)
}

// landed reports whether what was pushed is in the history of the remote's
// reference. It fails with [refs.ErrMoved] if that is where it can't come to any
// more.
func (r *Repository) landed(ctx context.Context, update remote.Update) (bool, error) {
	told, err := r.origin.remote.Refs(ctx, update.Ref)
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
		done, err := r.takeIn(ctx, head, update.Old)
		if err != nil {
			return false, err
		}
		defer done()
		landed, err := r.isIn(ctx, update.New, head)
		if err == nil && !landed {
			err = refs.ErrMoved
		}
		return landed, err
	}
}

// isIn reports whether a commit is in the history of another, all of which is
// here.
func (r *Repository) isIn(ctx context.Context, commit, head object.Hash) (bool, error) {
	turn := r.store.follows.short()
	defer turn.end()
	reader := r.git.Reader(ctx, workPerAnswer)
	if _, err := reader.Read(commit, object.KindCommit, pack.MaxCommit); errors.Is(err, object.ErrMissing) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	missing, err := findDropped(ctx, turn, reader, commit, head)
	return err == nil && missing.commits == 0 && !missing.partial, err
}

// pushAgain is the same push in a session of its own.
func (r *Repository) pushAgain(ctx context.Context, update remote.Update, content []byte) error {
	session, err := r.origin.remote.OpenPush(ctx, update.Ref)
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Push(ctx, []remote.Update{update}, func() io.Reader { return bytes.NewReader(content) })
}

// tellUnproven logs what became of a push after all, once the mirror is where the
// remote is.
func (r *Repository) tellUnproven(ctx context.Context) {
	o := r.origin
	if o.unproven.IsZero() {
		return
	}
	at, err := r.git.Head()
	if err != nil {
		return
	}
	landed, err := r.isIn(ctx, o.unproven, at)
	if err != nil {
		return
	}
	what := "a change of which it was not known whether it landed did not"
	if landed {
		what = "a change of which it was not known whether it landed did"
	}
	r.log.Info(what, "tenant", r.tenant.s, "commit", o.unproven)
	o.unproven = object.Hash{}
}
