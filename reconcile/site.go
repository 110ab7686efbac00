package reconcile

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"secretsync/reconcile/kube"
	"secretsync/reconcile/queue"
)

// site is one physical cluster: the places in it that are wished for, and the
// workers that bring them in order. Every registered name that leads to it has
// its connection here, so that one Secret is one place by whatever name it is
// reached. See [atlas] for how it is known which names lead to the same one.
type site struct {
	clock   clock.WithTicker
	log     *slog.Logger
	metrics *metrics

	queue   atomic.Pointer[queue.Queue[*place]] // nil before it is started
	wanted  atomic.Int32                        // how many workers there should be
	working atomic.Int32                        // how many there are

	mu     sync.RWMutex
	places map[kube.Key]*place

	// Guarded by atlas.mu:
	identity    string // empty until it is known
	connections []*connection
	crew        *crew // nil before it is started
}

// crew is what a site's workers run under.
type crew struct {
	ctx  context.Context
	stop context.CancelFunc
	wg   *sync.WaitGroup // of the reconciler
}

// start begins to work until ctx ends or it is stopped. atlas.mu is held.
func (s *site) start(ctx context.Context, wg *sync.WaitGroup) {
	c := &crew{wg: wg}
	c.ctx, c.stop = context.WithCancel(ctx)
	q := queue.New(s.clock, (*place).class)
	s.queue.Store(q)
	s.crew = c
	context.AfterFunc(c.ctx, q.ShutDown)
	s.hire()
}

// hire has as many workers as the connection that may write most. atlas.mu is
// held.
func (s *site) hire() {
	most := 0
	for _, c := range s.connections {
		most = max(most, c.writes)
	}
	s.wanted.Store(int32(most))
	if s.crew == nil {
		return
	}
	for s.working.Load() < s.wanted.Load() {
		s.working.Add(1)
		s.crew.wg.Go(func() { s.work(s.crew.ctx, s.queue.Load()) })
	}
}

// work brings places in order, one after the other, until the queue ends or
// there are more workers than wanted.
func (s *site) work(ctx context.Context, q *queue.Queue[*place]) {
	for !s.dismissed() {
		p, ended := q.Get()
		if ended {
			s.working.Add(-1)
			return
		}
		if ctx.Err() == nil {
			kind, began := p.class().Kind, s.clock.Now()
			s.pass(ctx, p)
			s.metrics.passed(kind, s.clock.Since(began))
		}
		q.Done(p)
	}
}

// dismissed reports whether a worker is one too many, and counts it out: in one
// step, so that of several who ask at once no more go than are too many.
func (s *site) dismissed() bool {
	for {
		n := s.working.Load()
		if n <= s.wanted.Load() {
			return false
		}
		if s.working.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// add has a place worked on soon.
func (s *site) add(p *place) {
	if q := s.queue.Load(); q != nil {
		q.Add(p)
	}
}

// later has a place looked at again after a while, if nothing makes it due before.
func (s *site) later(p *place, after time.Duration) {
	if q := s.queue.Load(); q != nil {
		q.AddAfter(p, after)
	}
}

// claim enters a target's wish for its place. atlas.mu is held for reading.
func (s *site) claim(t *target) {
	s.mu.Lock()
	p := s.places[t.at]
	if p == nil {
		p = &place{site: s, at: t.at}
		s.places[t.at] = p
	}
	p.mu.Lock()
	p.enter(t)
	t.place.Store(p)
	p.mu.Unlock()
	s.mu.Unlock()
	// While the cluster takes no work there is nothing to do: at the end of an
	// outage everything is looked at.
	if t.connection.outage() == nil {
		p.due()
	}
}

// release withdraws it. The copy stays. Others that wish for the same look again
// at who has it. atlas.mu is held for reading.
func (s *site) release(t *target) {
	s.mu.Lock()
	p := t.place.Load()
	p.mu.Lock()
	p.leave(t)
	t.place.Store(nil)
	left := len(p.claims)
	if left == 0 {
		delete(s.places, p.at)
	}
	p.mu.Unlock()
	s.mu.Unlock()
	if left > 0 {
		p.due()
	}
}

// at returns the place of a key, nil where none is claimed.
func (s *site) at(key kube.Key) *place {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.places[key]
}

// all returns the places in a namespace, or everywhere.
func (s *site) all(namespace string) []*place {
	s.mu.RLock()
	defer s.mu.RUnlock()
	places := make([]*place, 0, len(s.places))
	for key, p := range s.places {
		if namespace == "" || key.Namespace == namespace {
			places = append(places, p)
		}
	}
	return places
}
