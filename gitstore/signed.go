package gitstore

import (
	"context"
	"fmt"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/history"
	"secretsync/gitstore/internal/trust"
	"secretsync/gitstore/internal/turns"
)

// Withheld is why the tip of a branch is not in force.
type Withheld struct {
	Tip    catalog.Revision // of the branch
	Commit catalog.Revision // the oldest one that is not signed as it has to be
	Reason string           // words that follow "commit X …"
}

// Withheld tells what is on the branch and not in force, because it is not signed as
// the settings ask; nil if nothing is.
func (r *Repository) Withheld() *Withheld { return r.withheld.Load() }

// readSigners brings the list of signers up to date.
func (r *Repository) readSigners() error {
	changed, err := r.trust.Follow(r.settings.Signatures.rules())
	if changed {
		r.cached = object.Hash{} // what is cached says nothing of these
	}
	return err
}

// inForce returns the newest revision of the branch that is signed as it has to be:
// the tip, where nothing is asked. Where none is, what was in force stays.
func (r *Repository) inForce(ctx context.Context, turn *turns.Turn, tip object.Hash) (object.Hash, error) {
	if err := r.readSigners(); err != nil {
		return object.Hash{}, err
	}
	if !r.trust.Asks() || tip.IsZero() {
		r.withhold(tip, tip, nil)
		return tip, nil
	}
	reader := r.git.Reader(ctx, budget.PerWalk(r.maxDefinitions))
	reader.Between(func() error { return turn.Pass(ctx) })
	verdict, err := r.trust.Judge(history.New(r.git, reader), tip, func() { reader.Allow(budget.PerCommit(r.maxDefinitions)) })
	if err != nil || verdict.Known {
		return verdict.Head, err
	}
	head := verdict.Head
	if head.IsZero() {
		if !r.state.Snapshot.Read() || r.switched {
			r.withhold(tip, head, verdict.Bad)
			return head, &unsignedError{"no revision of the branch is signed as it has to be: " + verdict.Bad.Sentence(head)}
		}
		head = r.state.Head
	}
	r.trust.Settle(tip, head)
	r.withhold(tip, head, verdict.Bad)
	return head, nil
}

// withhold tells what is not in force, if anything.
func (r *Repository) withhold(tip, head object.Hash, bad *trust.Bad) {
	var sentences []string
	faults := r.trust.Faults()
	for _, fault := range faults[:min(len(faults), condition.MostNamed)] {
		sentences = append(sentences, fmt.Sprintf("who may sign commits is not known in full, nobody signs with what can't be read: %s; have the operator mend it", fault))
	}
	var withheld *Withheld
	count := 0.0
	if bad != nil {
		withheld = &Withheld{Tip: catalog.RevisionOf(tip), Commit: catalog.RevisionOf(bad.Commit), Reason: bad.Why.Error()}
		count = 1
		sentences = append(sentences, bad.Sentence(head))
	}
	r.withheld.Store(withheld)
	r.metrics.Withheld.Set(count)
	r.condition.SetProblems(condition.SignatureProblem, sentences...)
}

// signatureRefusal says why no commit can be made on top of what is in force.
func (r *Repository) signatureRefusal() error {
	withheld := r.withheld.Load()
	if withheld == nil {
		return nil
	}
	return fmt.Errorf("%w: the branch is at a commit that is not in force, and nothing on top of it would be: commit %s %s; mend that in Git first, or have the operator do so", ErrConflict, withheld.Commit, withheld.Reason)
}

// signing returns what signs the commits of one batch; nil if they aren't signed.
// Where commits have to be signed, one by us that would not be in force fails with
// [ErrConflict].
func (r *Repository) signing() (func(commit []byte, when time.Time) ([]byte, error), error) {
	key, err := r.store.key()
	if err != nil {
		return nil, err
	}
	switch {
	case key == nil && !r.trust.Asks():
		return nil, nil
	case key == nil:
		return nil, fmt.Errorf("%w: each commit of this branch has to be signed, and the server has no key to sign with; change the definition in Git, or have the operator set committer.signingKeyFile", ErrConflict)
	}
	return func(commit []byte, when time.Time) ([]byte, error) {
		signed, err := key.Sign(commit, when)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err := r.trust.Verify(signed, when); err != nil {
			return nil, fmt.Errorf("%w: the commit would not be in force, for it %w; change the definition in Git, or have the operator list the server's key", ErrConflict, err)
		}
		return signed, nil
	}, nil
}
