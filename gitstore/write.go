package gitstore

import (
	"context"
	"fmt"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/draft"
	"secretsync/gitstore/internal/message"
	"secretsync/gitstore/operation"
)

// Author is the API key in whose name something is written.
type Author struct {
	Name string // for people, such as "CI of payments"
	ID   string // of the key, such as "ak-4f2k"
}

// Attribution says by whom and on which request one write is made.
type Attribution struct {
	Author    Author
	RequestID string
}

// author is who a commit's author is, made by the committer.
func (a Attribution) author(committer message.Identity) message.Identity {
	return message.Author(a.Author.Name, a.Author.ID, committer)
}

// made is by whom a commit is made.
func (a Attribution) made(committer message.Identity) draft.By {
	return draft.By{Author: a.author(committer), Committer: committer, RequestID: a.RequestID}
}

// Apply makes one commit of operations, no two of which may be on one
// definition: all of them, or none. It returns what each left, in order; where
// there is nothing to change, nothing is committed.
//
// What can't be made fails as [operation.Write.Judge] says. It fails with
// [ErrUnavailable] if the repository can't be written to, and with ctx's error if
// that ends before the write begins.
func (r *Repository) Apply(ctx context.Context, by Attribution, how operation.Handling, operations ...operation.Operation) ([]operation.Written, error) {
	if len(operations) == 0 {
		return nil, nil
	}
	write, err := operation.Together(how, operations)
	if err != nil {
		return nil, err
	}
	write.EditAhead(r.Snapshot(), func(e *catalog.Entry) ([]byte, error) {
		leave, err := r.enter()
		if err != nil {
			return nil, err
		}
		defer leave()
		return draft.ContentOf(e, r.blobReader(ctx))
	})
	return r.write(ctx, by, len(operations), func(d *draft.Draft) (draft.Edit, []operation.Written, error) {
		return write.Judge(d, r.limit())
	})
}

func (r *Repository) limit() operation.Limit {
	return operation.Limit{Tenant: r.tenant.s, Definitions: r.maxDefinitions}
}

// Create is [Repository.Apply] of one [operation.Creation].
func (r *Repository) Create(ctx context.Context, by Attribution, d definition.Definition) (*catalog.Entry, error) {
	return only(r.Apply(ctx, by, operation.Lenient, operation.Creation(d)))
}

// Patch is [Repository.Apply] of one [operation.PatchOf] that replaces the list of targets.
func (r *Repository) Patch(ctx context.Context, by Attribution, name definition.Name, pre operation.Precondition, sync []definition.Target) (*catalog.Entry, error) {
	return only(r.Apply(ctx, by, operation.Lenient, operation.PatchOf(name, pre, definition.SyncTo(sync))))
}

// Delete is [Repository.Apply] of one [operation.Deletion].
func (r *Repository) Delete(ctx context.Context, by Attribution, name definition.Name, pre operation.Precondition) error {
	_, err := r.Apply(ctx, by, operation.Lenient, operation.Deletion(name, pre))
	return err
}

func only(written []operation.Written, err error) (*catalog.Entry, error) {
	if err != nil {
		return nil, err
	}
	return written[0].Entry, nil
}

// writable says why nothing can be written on top of what stands, or nil.
func (r *Repository) writable() error {
	if err := r.state.Writable(); err != nil {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return nil
}

// refusalOfAll says why no commit can be made: it would be on top of one that is not
// in force; or where there is no branch, the root of a history that nothing connects
// to the branches that are there.
func (r *Repository) refusalOfAll() (refusal, failed error) {
	if refusal := r.signatureRefusal(); refusal != nil {
		return refusal, nil
	}
	if !r.state.Head.IsZero() {
		return nil, nil
	}
	if err := r.git.Conflict(); err != nil {
		return nil, err
	}
	if r.mirror != nil {
		return nil, nil // the remote has no branch at all, or it would not have come to this
	}
	sentence, err := r.absence()
	if sentence != "" {
		refusal = fmt.Errorf("%w: %s", ErrConflict, sentence)
	}
	return refusal, err
}
