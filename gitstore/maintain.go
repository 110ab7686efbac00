package gitstore

import (
	"context"

	"secretsync/gitstore/internal/gitdir"
)

// observer tells an operator what happens in a repository by itself.
type observer struct{ r *Repository }

func (o observer) Warn(what string, err error) {
	o.r.log.Warn(what, "tenant", o.r.tenant.s, "error", err)
}

func (o observer) Round(round gitdir.Round) {
	m := o.r.metrics
	switch {
	case round.Err != nil:
		m.maintenanceFailed.Inc()
		o.Warn("maintenance failed; it is tried again later", round.Err)
	case round.Objects > 0:
		m.maintenanceDone.Inc()
		m.maintenance.Observe(round.Took.Seconds())
		o.r.log.Debug("objects brought together", "tenant", o.r.tenant.s, "objects", round.Objects, "seconds", round.Took.Seconds())
	}
	m.packs.Set(float64(round.Packs))
}

// Maintain brings small packs and loose objects together now; that happens by
// itself when enough of them have gathered.
func (r *Repository) Maintain(ctx context.Context) error {
	leave, err := r.enter()
	if err != nil {
		return err
	}
	defer leave()
	ctx, release := r.bound(ctx)
	defer release()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case r.slots <- struct{}{}:
	}
	defer func() { <-r.slots }()
	if _, err = r.git.Round(ctx); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
