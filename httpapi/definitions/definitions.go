package definitions

import (
	"context"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/kept"
	"secretsync/httpapi/timeline"
	"secretsync/reconcile/status"
)

// Definitions answers what is asked of the definitions of all tenants. It is safe for
// concurrent use.
type Definitions struct {
	Reconciler Reconciler
	Now        func() time.Time
	Moments    *timeline.Timeline // how definitions stood since the server began

	kept kept.Answers
}

// Reconciler is what is asked of a *[reconcile.Reconciler].
type Reconciler interface {
	StatusSource
	Waiter
	Syncer
}

// StatusSource tells how a definition stands now, without waiting. Version is
// another one as soon as any of the tenant's statuses may be in more than when
// it was synced last.
type StatusSource interface {
	Status(gitstore.TenantName, *catalog.Entry) status.Status
	Version(gitstore.TenantName) uint64
}

// Waiter returns a definition and its status as soon as that has the phase, or
// as both stand when ctx ends. One that is not there is [gitstore.ErrNotFound].
type Waiter interface {
	Wait(context.Context, gitstore.TenantName, definition.Name, status.Phase) (*catalog.Entry, status.Status, error)
}

// Syncer has values read again, and does not wait for it: that of a definition now;
// that of a path, or all of a tenant's, soon and not more often than is allowed. Of
// those it tells how many definitions there are.
type Syncer interface {
	SyncNow(gitstore.TenantName, definition.Name)
	SyncPath(gitstore.TenantName, definition.SecretPath) (definitions int)
	SyncAll(gitstore.TenantName) (definitions int)
}
