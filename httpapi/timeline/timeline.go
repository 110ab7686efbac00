// Package timeline remembers how definitions stood: each time that one came to stand in
// another way, since the server began. What is told of now is not decided here; it is
// looked at, and what differs from the last look is kept.
//
// It is a help for people who ask what happened, and no record: it is in memory alone,
// bounded for each definition, and what came and went between two looks is not in it.
//
// There may be hundreds of thousands of definitions, most of which came to be synced once
// and stand so since. How one stood is therefore shared by all that stood alike, and a
// moment is 16 bytes of its own: about 100 bytes a definition.
package timeline

import (
	"strings"
	"sync"
	"time"
	"unique"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// Source tells how a definition stands. Version is another one as soon as any of the
// tenant's statuses may be.
type Source interface {
	Status(gitstore.TenantName, *catalog.Entry) status.Status
	Version(gitstore.TenantName) uint64
}

// Moment is when a definition came to stand so.
type Moment struct {
	At      time.Time
	Phase   status.Phase
	Ready   bool
	Reason  fault.Reason
	Message string
}

// moment is a Moment as it is kept.
type moment struct {
	at    int64 // nanoseconds of Unix time; 0 is the zero time
	stood unique.Handle[stance]
}

// stance is how definitions stood that stood alike: its message has nameless in place of
// the definition's name.
type stance struct {
	phase   status.Phase
	ready   bool
	reason  fault.Reason
	message string
}

// nameless stands for the definition's name in a message. No message holds it otherwise.
const nameless = "\x00"

func stanceOf(name definition.Name, s *status.Status) stance {
	message := strings.ReplaceAll(s.Ready.Message, nameless, " ")
	return stance{s.Phase, s.Ready.Status, s.Ready.Reason, strings.ReplaceAll(message, name.String(), nameless)}
}

// told is the moment as it is told of a definition.
func (m moment) told(name definition.Name) Moment {
	s := m.stood.Value()
	told := Moment{Phase: s.phase, Ready: s.ready, Reason: s.reason, Message: strings.ReplaceAll(s.message, nameless, name.String())}
	if m.at != 0 {
		told.At = time.Unix(0, m.at)
	}
	return told
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
	seen    *catalog.Snapshot // at the last look
	version uint64
	next    time.Time                    // no look before
	moments map[definition.Name][]moment // the oldest first
}

func (t *Timeline) of(name gitstore.TenantName) *tenant {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.tenants[name]
	if of == nil {
		if t.tenants == nil {
			t.tenants = map[gitstore.TenantName]*tenant{}
		}
		of = &tenant{moments: map[definition.Name][]moment{}}
		t.tenants[name] = of
	}
	return of
}

// Keep forgets all tenants but those who are served.
func (t *Timeline) Keep(served func(gitstore.TenantName) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.tenants {
		if !served(name) {
			delete(t.tenants, name)
		}
	}
}

// Look looks at all definitions of a tenant, if any may stand in another way than at
// the last look.
func (t *Timeline) Look(name gitstore.TenantName, snapshot *catalog.Snapshot, source Source, now func() time.Time) {
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
func (t *Timeline) Of(name gitstore.TenantName, e *catalog.Entry, source Source) []Moment {
	of := t.of(name)
	of.mu.Lock()
	defer of.mu.Unlock()
	of.note(e, source.Status(name, e))
	kept := of.moments[e.Name]
	moments := make([]Moment, len(kept))
	for i, m := range kept {
		moments[len(kept)-1-i] = m.told(e.Name)
	}
	return moments
}

// note keeps how a definition stands, if it did not stand so before.
func (of *tenant) note(e *catalog.Entry, s status.Status) {
	moments := of.moments[e.Name]
	now := stanceOf(e.Name, &s)
	m := moment{}
	if at := s.Ready.LastTransition; !at.IsZero() {
		m.at = at.UnixNano()
	}
	if len(moments) > 0 {
		last := &moments[len(moments)-1]
		before := last.stood.Value()
		if now == before {
			return
		}
		m.stood = unique.Make(now)
		if now.phase == before.phase && now.ready == before.ready && now.reason == before.reason {
			last.stood = m.stood // it says so in other words
			return
		}
		m.at = max(m.at, last.at) // a transition is told of the target that is worst, which may be older
	} else {
		m.stood = unique.Make(now)
	}
	if len(moments) == mostMoments {
		moments = append(moments[:0], moments[1:]...)
	}
	of.moments[e.Name] = append(moments, m)
}
