package githttp

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// placePatience is how long an exchange waits for its place: git does not try
// again by itself, and most exchanges are short.
const placePatience = 5 * time.Second

// places bound how many exchanges go on at once. A tenant's own are counted
// first, so that those who wait for one tenant hold nothing that others need.
type places struct {
	all      *semaphore.Weighted
	ofTenant int64

	mu      sync.Mutex
	tenants map[string]*tenantPlaces
}

type tenantPlaces struct {
	free  *semaphore.Weighted
	users int // that hold or wait for a place; the last takes the entry away
}

func newPlaces(all, ofTenant int) places {
	return places{all: semaphore.NewWeighted(int64(all)), ofTenant: int64(ofTenant), tenants: make(map[string]*tenantPlaces)}
}

// take waits for a place. It fails with [ErrBusy], or with ctx's error.
func (p *places) take(ctx context.Context, tenant string) (leave func(), err error) {
	t := p.enter(tenant)
	wait, cancel := context.WithTimeout(ctx, placePatience)
	defer cancel()
	if t.free.Acquire(wait, 1) != nil {
		p.exit(tenant, t)
		return nil, busy(ctx, "of your tenant")
	}
	if p.all.Acquire(wait, 1) != nil {
		t.free.Release(1)
		p.exit(tenant, t)
		return nil, busy(ctx, "on this server")
	}
	return func() {
		p.all.Release(1)
		t.free.Release(1)
		p.exit(tenant, t)
	}, nil
}

func busy(ctx context.Context, whose string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%w %s; try again in a moment", ErrBusy, whose)
}

func (p *places) enter(tenant string) *tenantPlaces {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tenants[tenant]
	if t == nil {
		t = &tenantPlaces{free: semaphore.NewWeighted(p.ofTenant)}
		p.tenants[tenant] = t
	}
	t.users++
	return t
}

func (p *places) exit(tenant string, t *tenantPlaces) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(p.tenants, tenant)
	}
}
