package mirror

import (
	corev1 "k8s.io/api/core/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// Listing is a listing of the Secrets of one namespace, or of all, that is taken in.
type Listing struct {
	of    *Mirror
	where string
	seen  map[copies.Key]*copies.Copy
}

// Begin notes that a listing of a namespace begins; of all with "".
func (m *Mirror) Begin(where string) *Listing {
	m.listingBegins(where)
	return &Listing{of: m, where: where, seen: make(map[copies.Key]*copies.Copy)}
}

// Took takes in one Secret of it, which is not kept.
func (l *Listing) Took(s *corev1.Secret) {
	l.seen[copies.Key{Namespace: copies.Intern(s.Namespace), Name: s.Name}] = l.of.listed(s)
}

// Complete takes in that this was all, as of a resource version.
func (l *Listing) Complete(rv string) { l.of.replaced(l.where, l.seen, rv) }

// listingBegins notes that a listing of a scope begins.
func (m *Mirror) listingBegins(where string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.scopes[where]
	if s == nil {
		s = &scope{fault: listing}
		m.scopes[where] = s
	}
	s.written = make(map[copies.Key]struct{})
}

// listed makes a record of one Secret of a listing.
func (m *Mirror) listed(s *corev1.Secret) *copies.Copy {
	r := m.cfg.Reader().Read(s)
	at := copies.Key{Namespace: s.Namespace, Name: s.Name}
	m.mu.RLock()
	f, e := m.flights[at], m.expected[at]
	m.mu.RUnlock()
	if f != nil || e.sent != nil && e.rv == r.ResourceVersion {
		m.mu.Lock()
		defer m.mu.Unlock()
		if f := m.flights[at]; f != nil {
			f.saw(s, r)
		}
		if e := m.expected[at]; e.sent != nil && e.rv == r.ResourceVersion {
			r.Altered = e.sent.AlteredBy(s)
		}
	}
	return r
}

// replaced takes in a whole listing: what is not in it is gone, except what we
// wrote since it began, and what has no label to be listed by.
func (m *Mirror) replaced(where string, seen map[copies.Key]*copies.Copy, rv string) {
	m.mu.Lock()
	s := m.scopes[where]
	if s == nil { // it is not followed any more
		m.mu.Unlock()
		return
	}
	written := s.written
	s.written, s.listed = nil, rv
	fresh := s.fault != nil
	s.fault = nil
	var changed []copies.Key
	for name, ns := range m.namespaces {
		if where != "" && name != where {
			continue
		}
		for secret, old := range ns.copies {
			at := copies.Key{Namespace: name, Name: secret}
			r, ok := seen[at]
			delete(seen, at)
			_, ours := written[at]
			switch {
			case ok && ours && copies.Newer(old.ResourceVersion, r.ResourceVersion):
			case ok:
				if r.ResourceVersion != old.ResourceVersion {
					r.Follows(old, m.flights[at] != nil)
				} else {
					r.Remains(old)
					if r.Altered == nil {
						r.Altered = old.Altered
					}
				}
				delete(m.expected, at)
				m.put(at, r)
				if !old.Same(r) {
					changed = append(changed, at)
				}
			case !old.Watched:
			case ours && copies.Newer(old.ResourceVersion, rv):
			default:
				m.goes(at, rv)
				changed = append(changed, at)
			}
		}
	}
	for at := range m.removed {
		if where == "" || at.Namespace == where {
			delete(m.removed, at) // the watch goes on from here
		}
	}
	for at, r := range seen {
		m.put(at, r)
		changed = append(changed, at)
	}
	for at, f := range m.flights {
		if where == "" || at.Namespace == where {
			f.gone = "" // of a server whose versions may have begun anew
			if m.place(at) == nil {
				f.gone = rv // what was written before that went before that
			}
		}
	}
	m.mu.Unlock()
	switch {
	case !m.cfg.Usable():
	case fresh:
		m.cfg.Observer.Everything(where)
	default:
		for _, at := range changed {
			m.cfg.Observer.Changed(at)
		}
	}
}

// Refuse notes that the cluster does not let us see what stands in a namespace.
func (m *Mirror) Refuse(where string, f *fault.Fault) {
	m.mu.Lock()
	s := m.scopes[where]
	if s == nil {
		s = &scope{}
		m.scopes[where] = s
	}
	changed := s.fault == nil || s.fault.Reason != f.Reason
	s.fault, s.written = f, nil
	m.mu.Unlock()
	if changed && m.cfg.Usable() {
		m.cfg.Observer.Everything(where)
	}
}

// Leave forgets a namespace that is no longer followed.
func (m *Mirror) Leave(where string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.scopes, where)
	if ns := m.namespaces[where]; ns != nil {
		ns.forget()
	}
}
