package limit

import (
	"sync"

	"golang.org/x/sync/semaphore"

	"secretsync/gitstore"
)

// What the requests of one tenant may hold at once. A tenant that wants more
// is told to come back; the others do not notice.
const (
	maxBodyBytes = 32 << 20 // of request bodies being read
	minBodyShare = 16 << 10 // what the least body counts for: a stream and its goroutine
	maxWaiters   = 256      // requests with ?wait=
	maxPlans     = 4        // plans, of which one at a time looks at vault and clusters
)

// Shares are what the requests of each tenant hold at the moment. They outlive
// settings. The zero value is ready: nobody holds anything.
type Shares struct{ byTenant sync.Map } // gitstore.TenantName → *Share

// Of returns a tenant's share.
func (s *Shares) Of(tenant gitstore.TenantName) *Share {
	if v, ok := s.byTenant.Load(tenant); ok {
		return v.(*Share)
	}
	v, _ := s.byTenant.LoadOrStore(tenant, &Share{
		bodies:  semaphore.NewWeighted(maxBodyBytes),
		waiters: semaphore.NewWeighted(maxWaiters),
		plans:   semaphore.NewWeighted(maxPlans),
	})
	return v.(*Share)
}

// Share is what one tenant's requests hold at the moment. What is taken is given
// back by release, which is nil if it was not to be had.
type Share struct {
	bodies  *semaphore.Weighted
	waiters *semaphore.Weighted
	plans   *semaphore.Weighted
}

// Body takes room for a request's body of so many bytes while it is read.
func (s *Share) Body(size int64) (release func(), ok bool) {
	return take(s.bodies, max(size, minBodyShare))
}

// Waiter takes a place among the requests that wait.
func (s *Share) Waiter() (release func(), ok bool) { return take(s.waiters, 1) }

// Plan takes a place among the plans that are being made.
func (s *Share) Plan() (release func(), ok bool) { return take(s.plans, 1) }

func take(from *semaphore.Weighted, n int64) (release func(), ok bool) {
	if !from.TryAcquire(n) {
		return nil, false
	}
	return func() { from.Release(n) }, true
}
