package reconcile

import (
	"context"
	"errors"

	"secretsync/reconcile/kube"
	"secretsync/reconcile/restart"
)

// Where several servers share the tenants, a tenant may be another's from one moment to the
// next. Until that is known here, and the tenant withdrawn, nothing that was to be written
// is: each write to a cluster asks first.
//
//	write                                    what becomes of it meanwhile
//	a copy is created, updated, replaced     its place is due again after a while
//	an orphan is removed, a copy cleaned up  not yet; the clean-up comes again
//	a workload is restarted                  an attempt that failed, made again
//
// What was let through a moment before is harmless: see package shard.

var errFenced = errors.New("another server is about to work for this tenant, or does already")

// fenced is a cluster in which workloads are marked only while that may be.
type fenced struct {
	restart.Cluster
	may func() bool
}

func (f *fenced) Mark(ctx context.Context, w kube.Workload, read *kube.Marks, own, template map[string]string) error {
	if !f.may() {
		return errFenced
	}
	return f.Cluster.Mark(ctx, w, read, own, template)
}
