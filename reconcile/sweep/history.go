package sweep

import (
	"context"
	"errors"
	"fmt"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
	"secretsync/reconcile/cleanup"
)

// Repository is what a tenant's history says. *gitstore.Repository is one.
type Repository interface {
	// History returns the commits in the history of HEAD that changed a
	// definition, newest first, a page at a time.
	History(ctx context.Context, name definition.Name, after catalog.Revision, limit int) (events []gitstore.Event, next catalog.Revision, err error)
	// File returns the text of a definition at a commit.
	File(ctx context.Context, name definition.Name, rev string) (gitstore.File, error)
	// Trailers returns the trailers of one key that the newest commits bear.
	Trailers(ctx context.Context, at *catalog.Snapshot, key string, most int) ([]gitstore.Trailer, error)
}

// historyPage is how many commits of a definition are read at a time.
const historyPage = 1000

// proof is what the history of a definition says of its copies.
type proof struct {
	commits map[string]bool // that changed it
	newest  string
	policy  cleanup.Policy
}

// proofOf reads what the history of a definition says: its commits, and what it
// says of its copies, at HEAD or, where it is gone, in its last valid version.
func (s *Sweeper) proofOf(ctx context.Context, at *catalog.Snapshot, name definition.Name) (*proof, error) {
	events, err := s.historyOf(ctx, name)
	if err != nil {
		return nil, err
	}
	p := &proof{commits: make(map[string]bool, len(events))}
	for _, e := range events {
		p.commits[e.Revision.String()] = true
	}
	if len(events) > 0 {
		p.newest = events[0].Revision.String()
	}
	if e, ok := at.Get(name); ok {
		// Where none is usable it stays: a file that never was valid may mean anything.
		if e.Usable() {
			p.policy = policyOf(e.Definition.Shape)
		}
		return p, nil
	}
	for _, e := range events {
		f, err := s.repository.File(ctx, name, e.Revision.String())
		if errors.Is(err, gitstore.ErrNotFound) || errors.Is(err, definition.ErrInvalid) {
			continue // it was removed then, or is no definition
		} else if err != nil {
			return nil, fmt.Errorf("what is to be deleted is %w: definition %s can't be read at commit %s: %w", ErrNotYet, name, e.Revision, err)
		}
		if d, err := parse.File(f.Path, f.Text); err == nil {
			p.policy = policyOf(d.Shape)
			break
		}
	}
	return p, nil
}

func policyOf(s *definition.Shape) cleanup.Policy {
	return cleanup.Policy{Deletes: s.Deletes(), Merges: s.Merges(), Suspended: s.Suspended()}
}

// prove looks whether the commit that an orphan bears is one of HEAD's history
// that changed its definition. Where it is not, history was rewritten, the
// repository is not the one it came from, or another server wrote it: it may
// well be needed.
func (s *Sweeper) prove(ctx context.Context, o *Orphan, known map[string]map[string]bool) error {
	commits := known[o.Definition]
	if commits == nil {
		commits = make(map[string]bool)
		known[o.Definition] = commits
		name, err := definition.ParseName(o.Definition)
		if err != nil {
			o.Doubt = "its label names no definition"
			return nil
		}
		events, err := s.historyOf(ctx, name)
		if err != nil {
			return err
		}
		for _, e := range events {
			commits[e.Revision.String()] = true
		}
	}
	if !commits[o.Commit] {
		o.Doubt = "the commit it came from is not in the history of the branch: history was rewritten, or it came from another repository"
	}
	return nil
}

// historyOf reads all commits that changed a definition, newest first.
func (s *Sweeper) historyOf(ctx context.Context, name definition.Name) (all []gitstore.Event, err error) {
	for after := (catalog.Revision{}); ; {
		events, next, err := s.repository.History(ctx, name, after, historyPage)
		if err != nil {
			return nil, fmt.Errorf("what is an orphan is %w: the history of definition %s can't be read: %w", ErrNotYet, name, err)
		}
		all = append(all, events...)
		if after = next; after.IsZero() {
			return all, nil
		}
	}
}
