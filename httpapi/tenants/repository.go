package tenants

import (
	"context"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
	"secretsync/reconcile/live"
)

// Repository is a tenant's repository, a *[gitstore.Repository].
type Repository interface {
	Reader
	Writer
	Historian
	Reverter
	live.Repository
	Hinter
	Revisions
	FileReader
	HealthReporter
	ProblemReporter
	FreshnessReporter
}

// Reader gives what is at HEAD without waiting for anything.
type Reader interface {
	Snapshot() *catalog.Snapshot
	Created() time.Time
}

// Writer commits: operations are one commit, durable when it returns; see
// [gitstore.Repository.Apply] for the errors.
type Writer interface {
	Apply(context.Context, gitstore.Attribution, operation.Handling, ...operation.Operation) ([]operation.Written, error)
}

// Historian reads the commits that changed a definition, a page at a time.
type Historian interface {
	History(ctx context.Context, name definition.Name, after catalog.Revision, limit int) (events []gitstore.Event, next catalog.Revision, err error)
}

// Hinter looks at once whether the branch has moved, and does not wait for it.
type Hinter interface {
	Hint()
}

// HealthReporter says why it can't be written to or followed now; nil: it can.
type HealthReporter interface {
	Healthy() error
}

// ProblemReporter tells what is wrong with a repository that works all the same,
// a sentence each.
type ProblemReporter interface {
	Problems() []string
}

// FreshnessReporter tells how old what is shown may be.
type FreshnessReporter interface {
	Freshness() gitstore.Freshness
}

// Reverter tells what undoes a commit, as [gitstore.Repository.Revert] does.
type Reverter interface {
	Revert(context.Context, catalog.Revision, definition.Name, operation.Precondition) (gitstore.Reversal, error)
}

// Revisions reads the definitions of any commit; see [gitstore.Repository.At] for
// the errors.
type Revisions interface {
	At(ctx context.Context, rev string) (*catalog.Snapshot, error)
}

// FileReader reads the text of a definition at any commit; see
// [gitstore.Repository.File] for the errors.
type FileReader interface {
	File(ctx context.Context, name definition.Name, rev string) (gitstore.File, error)
}
