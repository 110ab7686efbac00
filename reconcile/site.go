package reconcile

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
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
	tracer  trace.Tracer // nil: nothing is traced

	queue   atomic.Pointer[queue.Queue[*place]] // nil before it is started
	wanted  atomic.Int32                        // how many workers there should be
	working atomic.Int32                        // how many there are

	mu     sync.RWMutex
	places map[kube.Key]*place // of Secrets as a whole

	// sharing guards parts. It is taken last, since a pass asks for them.
	sharing sync.RWMutex
	parts   map[kube.Key]map[kube.Owner]*place // of shares; made when the first is claimed

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

// claim enters a target's wish for its place, which is not worked on for that yet; see
// target.begin. atlas.mu is held for reading.
func (s *site) claim(t *target) {
	s.mu.Lock()
	p := s.slot(t)
	p.mu.Lock()
	p.enter(t)
	t.place.Store(p)
	p.mu.Unlock()
	s.mu.Unlock()
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
		s.vacate(p)
	}
	p.mu.Unlock()
	s.mu.Unlock()
	if left > 0 {
		p.due()
		return
	}
	for _, other := range s.around(p.at) { // what it let go of may be theirs now
		other.due()
	}
}

// slot returns the place that a target claims, and makes it if need be. s.mu is held.
func (s *site) slot(t *target) *place {
	if !t.merges {
		p := s.places[t.at]
		if p == nil {
			p = &place{site: s, at: t.at}
			s.places[t.at] = p
		}
		return p
	}
	s.sharing.Lock()
	defer s.sharing.Unlock()
	if s.parts == nil {
		s.parts = make(map[kube.Key]map[kube.Owner]*place)
	}
	if s.parts[t.at] == nil {
		s.parts[t.at] = make(map[kube.Owner]*place)
	}
	p := s.parts[t.at][t.owner]
	if p == nil {
		p = &place{site: s, at: t.at, part: &t.owner}
		s.parts[t.at][t.owner] = p
	}
	return p
}

// vacate forgets a place that nobody claims. s.mu is held.
func (s *site) vacate(p *place) {
	if p.part == nil {
		delete(s.places, p.at)
		return
	}
	s.sharing.Lock()
	defer s.sharing.Unlock()
	delete(s.parts[p.at], *p.part)
	if len(s.parts[p.at]) == 0 {
		delete(s.parts, p.at)
	}
}

// shares reports whether a definition claims a share of a Secret.
func (s *site) shares(key kube.Key, o kube.Owner) bool { return s.share(key, o) != nil }

func (s *site) share(key kube.Key, o kube.Owner) *place {
	s.sharing.RLock()
	defer s.sharing.RUnlock()
	return s.parts[key][o]
}

// of returns the place that a copy or share is the work of, nil where none is claimed.
func (s *site) of(key kube.Key, c *kube.Copy) *place {
	if c.Part {
		return s.share(key, c.Owner)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.places[key]
}

// around returns the places in which one Secret is wished for, as a whole or a share.
func (s *site) around(key kube.Key) (places []*place) {
	s.mu.RLock()
	if p := s.places[key]; p != nil {
		places = append(places, p)
	}
	s.mu.RUnlock()
	s.sharing.RLock()
	defer s.sharing.RUnlock()
	for _, p := range s.parts[key] {
		places = append(places, p)
	}
	return places
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
	s.sharing.RLock()
	defer s.sharing.RUnlock()
	for key, shares := range s.parts {
		if namespace == "" || key.Namespace == namespace {
			places = slices.AppendSeq(places, maps.Values(shares))
		}
	}
	return places
}
