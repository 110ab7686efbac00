package httpapi

import (
	"net/http"
	"time"

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

// share is what one tenant's requests hold at the moment. It outlives
// settings.
type share struct {
	bodies  *semaphore.Weighted
	waiters *semaphore.Weighted
	plans   *semaphore.Weighted
}

func (s *Server) shareOf(tenant gitstore.TenantName) *share {
	if v, ok := s.shares.Load(tenant); ok {
		return v.(*share)
	}
	v, _ := s.shares.LoadOrStore(tenant, &share{
		bodies:  semaphore.NewWeighted(maxBodyBytes),
		waiters: semaphore.NewWeighted(maxWaiters),
		plans:   semaphore.NewWeighted(maxPlans),
	})
	return v.(*share)
}

// takeBody reserves room for a request's body while it is read.
func (s *share) takeBody(r *http.Request) (release func(), err error) {
	size := r.ContentLength
	if size < 0 || size > MaxBody {
		size = MaxBody
	}
	size = max(size, minBodyShare)
	if !s.bodies.TryAcquire(size) {
		return nil, tooMany(time.Second, "too many request bodies of your tenant at once")
	}
	return func() { s.bodies.Release(size) }, nil
}

func (s *share) takeWaiter() (release func(), err error) {
	if !s.waiters.TryAcquire(1) {
		return nil, tooMany(time.Second, "too many waiting requests of your tenant at once")
	}
	return func() { s.waiters.Release(1) }, nil
}

func (s *share) takePlan() (release func(), err error) {
	if !s.plans.TryAcquire(1) {
		return nil, tooMany(time.Second, "too many plans of your tenant at once")
	}
	return func() { s.plans.Release(1) }, nil
}
