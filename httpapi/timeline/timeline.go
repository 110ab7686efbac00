// Package timeline remembers how definitions stood: each time that one came to stand in
// another way, since the server began. What is told of now is not decided here; it is
// looked at, and what differs from the last look is kept.
//
// It is a help for people who ask what happened, and no record: it is in memory alone,
// bounded for each definition, and what came and went between two looks is not in it.
package timeline

import (
	"slices"
	"sync"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile"
)

// Source tells how a definition stands. Version is another one as soon as any of the
// tenant's statuses may be.
type Source interface {
	Status(gitstore.TenantName, *gitstore.Entry) reconcile.Status
	Version(gitstore.TenantName) uint64
}

// Moment is when a definition came to stand so.
type Moment struct {
	At      time.Time
	Phase   reconcile.Phase
	Ready   bool
	Reason  reconcile.Reason
	Message string
}

// mostMoments is how many are kept of one definition: the newest.
const mostMoments = 20

// rest is how many times as long as a look takes there is none: looking costs a
// fiftieth of a core at the most, whatever a tenant has.
const rest = 50

// Timeline keeps the moments of all tenants. Its zero value has none. It is safe for
// concurrent use.
type Timeline struct {
	mu      sync.Mutex
	tenants map[gitstore.TenantName]*tenant
}

type tenant struct {
	mu      sync.Mutex
	seen    *gitstore.Snapshot // at the last look
	version uint64
	next    time.Time // no look before
	moments map[definition.Name][]Moment
}

func (t *Timeline) of(name gitstore.TenantName) *tenant {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.tenants[name]
	if of == nil {
		if t.tenants == nil {
			t.tenants = map[gitstore.TenantName]*tenant{}
		}
		of = &tenant{moments: map[definition.Name][]Moment{}}
		t.tenants[name] = of
	}
	return of
}

// Keep forgets all tenants but these.
func (t *Timeline) Keep(names []gitstore.TenantName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.tenants {
		if !slices.Contains(names, name) {
			delete(t.tenants, name)
		}
	}
}

// Look looks at all definitions of a tenant, if any may stand in another way than at
// the last look.
func (t *Timeline) Look(name gitstore.TenantName, snapshot *gitstore.Snapshot, source Source, now func() time.Time) {
	of := t.of(name)
	of.mu.Lock()
	defer of.mu.Unlock()
	version := source.Version(name) // first: what changes after it is looked at again
	began := now()
	if of.seen == snapshot && of.version == version || began.Before(of.next) {
		return
	}
	entries := snapshot.Entries()
	for _, e := range entries {
		of.note(e, source.Status(name, e))
	}
	if len(of.moments) > len(entries) {
		for name := range of.moments {
			if _, stands := snapshot.Get(name); !stands {
				delete(of.moments, name)
			}
		}
	}
	of.seen, of.version = snapshot, version
	end := now()
	of.next = end.Add(rest * end.Sub(began))
}

// Of looks at one definition, and returns its moments, the newest first.
func (t *Timeline) Of(name gitstore.TenantName, e *gitstore.Entry, source Source) []Moment {
	of := t.of(name)
	of.mu.Lock()
	defer of.mu.Unlock()
	of.note(e, source.Status(name, e))
	moments := slices.Clone(of.moments[e.Name])
	slices.Reverse(moments)
	return moments
}

// note keeps how a definition stands, if it did not stand so before.
func (of *tenant) note(e *gitstore.Entry, s reconcile.Status) {
	moments := of.moments[e.Name]
	m := Moment{At: s.Ready.LastTransition, Phase: s.Phase, Ready: s.Ready.Status, Reason: s.Ready.Reason, Message: s.Ready.Message}
	if len(moments) > 0 {
		last := &moments[len(moments)-1]
		if last.Phase == m.Phase && last.Ready == m.Ready && last.Reason == m.Reason {
			last.Message = m.Message
			return
		}
		if m.At.Before(last.At) {
			m.At = last.At // a transition is told of the target that is worst, which may be older
		}
	}
	if len(moments) == mostMoments {
		moments = slices.Delete(moments, 0, 1)
	}
	of.moments[e.Name] = append(moments, m)
}
