package shard

import (
	"context"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// forgotten is for how many lease times nobody has held a Lease that is deleted: those of
// replicas that died, and of shards that there are no longer.
const forgotten = 4

// sweep deletes them, until ctx ends. The first of the members does it for all.
func (r *Replica) sweep(ctx context.Context, s scene, members []member) {
	if r.sweeping || len(members) == 0 || members[0].identity != r.identity {
		return
	}
	var left []*coordination.Lease
	for _, lease := range s.left(forgotten * r.Lease) {
		if r.campaigns[lease.Name] == nil {
			left = append(left, lease)
		}
	}
	if len(left) == 0 {
		return
	}
	r.sweeping = true
	r.sweeps.Go(func() {
		defer func() {
			r.mu.Lock()
			r.sweeping = false
			r.mu.Unlock()
		}()
		for _, lease := range left {
			if ctx.Err() != nil {
				return // another one does it
			}
			r.remove(ctx, lease)
		}
	})
}

// remove deletes a Lease as it was seen; one that changed meanwhile stays.
func (r *Replica) remove(ctx context.Context, lease *coordination.Lease) {
	within, cancel := context.WithTimeout(ctx, r.timing.renew/2)
	defer cancel()
	err := r.leases.Delete(within, lease.Name, meta.DeleteOptions{
		Preconditions: &meta.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion},
	})
	if err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		r.Log.Warn("a Lease that nobody holds could not be deleted", "lease", lease.Name, "error", err)
	}
}
