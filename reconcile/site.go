package reconcile

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"
	"k8s.io/utils/clock"

	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/meter"
	"secretsync/reconcile/queue"
)

// site is one physical cluster: the places in it that are wished for, and the
// workers that bring them in order. Every registered name that leads to it has
// its connection here, so that one Secret is one place by whatever name it is
// reached. See [atlas] for how it is known which names lead to the same one.
type site struct {
	clock   clock.WithTicker
	log     *slog.Logger
	metrics *meter.Meter
	tracer  trace.Tracer // nil: nothing is traced
	crew    *queue.Crew[*place]

	mu     sync.RWMutex
	places map[copies.Key]*place // of Secrets as a whole

	// sharing guards parts. It is taken last, since a pass asks for them.
	sharing sync.RWMutex
	parts   map[copies.Key]map[copies.Owner]*place // of shares; made when the first is claimed

	// Guarded by atlas.mu:
	identity    string // empty until it is known
	connections []*connection
}

func newSite(c clock.WithTicker, log *slog.Logger, m *meter.Meter, tracer trace.Tracer) *site {
	s := &site{clock: c, log: log, metrics: m, tracer: tracer, places: make(map[copies.Key]*place)}
	s.crew = queue.NewCrew(c, (*place).class, s.work)
	return s
}

// hire has as many workers as the connection that may write most. atlas.mu is
// held.
func (s *site) hire() {
	most := 0
	for _, c := range s.connections {
		most = max(most, c.writes)
	}
	s.crew.Hire(most)
}

// work brings a place in order.
func (s *site) work(ctx context.Context, p *place) {
	kind, began := p.class().Kind, s.clock.Now()
	s.pass(ctx, p)
	s.metrics.Passed(kind, s.clock.Since(began))
}

// claim enters a target's wish for its place, which is not worked on for that yet; see
// target.begin. atlas.mu is held for reading.
func (s *site) claim(t *target) {
	s.mu.Lock()
	p := s.slot(t)
	p.mu.Lock()
	p.enter(t)
	p.looks = max(p.looks, t.lastTold()) // that may have been at another place
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
		if p.part == nil {
			return
		}
	}
	for _, other := range s.around(p.at) { // what it let go of, or asks for no more, may be theirs now
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
			s.filled(t.at, p)
		}
		return p
	}
	s.sharing.Lock()
	defer s.sharing.Unlock()
	if s.parts == nil {
		s.parts = make(map[copies.Key]map[copies.Owner]*place)
	}
	if s.parts[t.at] == nil {
		s.parts[t.at] = make(map[copies.Owner]*place)
	}
	p := s.parts[t.at][t.owner]
	if p == nil {
		p = &place{site: s, at: t.at, part: &portion{owner: t.owner}}
		p.part.whole.Store(s.places[t.at])
		s.parts[t.at][t.owner] = p
	}
	return p
}

// filled tells those who share a Secret where it is claimed as a whole, or with nil that
// it is not any more. s.mu is held.
func (s *site) filled(key copies.Key, whole *place) {
	s.sharing.RLock()
	defer s.sharing.RUnlock()
	for _, p := range s.parts[key] {
		p.part.whole.Store(whole)
	}
}

// vacate forgets a place that nobody claims. s.mu is held.
func (s *site) vacate(p *place) {
	if p.part == nil {
		delete(s.places, p.at)
		s.filled(p.at, nil)
		return
	}
	s.sharing.Lock()
	defer s.sharing.Unlock()
	delete(s.parts[p.at], p.part.owner)
	if len(s.parts[p.at]) == 0 {
		delete(s.parts, p.at)
	}
}

// others are what the other definitions of a tenant ask for that claim a share of a
// Secret, by whose they are; nil: there are none.
func (s *site) others(key copies.Key, o copies.Owner) map[copies.Owner]copies.Claim {
	s.sharing.RLock()
	defer s.sharing.RUnlock()
	var others map[copies.Owner]copies.Claim
	for owner, p := range s.parts[key] {
		asker := p.part.asker.Load()
		if owner == o || owner.Tenant != o.Tenant || asker == nil {
			continue
		}
		if others == nil {
			others = make(map[copies.Owner]copies.Claim)
		}
		others[owner] = asker.asks.Load().claim
	}
	return others
}

// share returns the place of a definition's share; nil where it claims none.
func (s *site) share(key copies.Key, o copies.Owner) *place {
	s.sharing.RLock()
	defer s.sharing.RUnlock()
	return s.parts[key][o]
}

// of returns the place that a copy or share is the work of, nil where none is claimed.
func (s *site) of(key copies.Key, c *copies.Copy) *place {
	if c.Part {
		return s.share(key, c.Owner)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.places[key]
}

// around returns the places in which one Secret is wished for, as a whole or a share.
func (s *site) around(key copies.Key) (places []*place) {
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
