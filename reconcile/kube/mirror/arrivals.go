package mirror

import (
	corev1 "k8s.io/api/core/v1"

	"secretsync/reconcile/kube/copies"
)

// Saw takes in an event of the watch. s is nil where the Secret is gone, or lost
// our label.
func (m *Mirror) Saw(at copies.Key, s *corev1.Secret, rv string) {
	var r *copies.Copy
	if s != nil {
		r = m.cfg.Reader().Read(s)
	}
	m.mu.Lock()
	changed := m.sawLocked(at, s, r, rv)
	m.mu.Unlock()
	if changed {
		m.cfg.Observer.Changed(at)
	}
}

func (m *Mirror) sawLocked(at copies.Key, s *corev1.Secret, r *copies.Copy, rv string) (changed bool) {
	f := m.flights[at]
	switch {
	case f != nil && s == nil:
		f.gone = rv
	case f != nil:
		f.saw(s, r)
	}
	old := m.place(at)
	if old != nil && r != nil {
		r.Reuse(old.Owner, old.Stamp)
	}
	switch {
	case old != nil && copies.Newer(old.ResourceVersion, rv):
		return false // it is known already
	case old == nil && s != nil && m.isRemoved(at, rv):
		return false
	case s == nil:
		if old == nil {
			delete(m.removed, at)
			return false
		}
		m.goes(at, rv)
		return true
	case old != nil && old.ResourceVersion == rv:
		return m.echoed(at, old, s, r)
	}
	if e, ok := m.expected[at]; ok && e.rv == "" && e.sent.Became(r) {
		// A write of ours after all, that was never answered.
		r.Manager, r.Altered = nil, e.sent.AlteredBy(s)
	} else if old != nil {
		r.Follows(old, f != nil)
	}
	delete(m.expected, at)
	m.put(at, r)
	return old == nil || !old.Same(r)
}

// echoed compares what stands with what we wrote, once.
func (m *Mirror) echoed(at copies.Key, old *copies.Copy, s *corev1.Secret, r *copies.Copy) (changed bool) {
	e, ok := m.expected[at]
	delete(m.expected, at)
	r.Remains(old)
	switch {
	case ok && e.rv == r.ResourceVersion:
		r.Altered = e.sent.AlteredBy(s)
	case old.Digest != r.Digest && old.Altered == nil:
		r.Altered = &copies.Alteration{} // what exactly is forgotten
	default:
		r.Altered = old.Altered
	}
	if old.Same(r) {
		return false
	}
	m.put(at, r)
	return true
}

// saw notes what the watch tells while the write is under way.
func (f *Flight) saw(s *corev1.Secret, r *copies.Copy) {
	const most = 8
	if len(f.seen) < most {
		f.seen = append(f.seen, sight{r, f.Sent.AlteredBy(s)})
	}
}

// TakeOff notes that a write begins, by a way of that era.
func (m *Mirror) TakeOff(at copies.Key, s *copies.Sent, era Era) *Flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &Flight{Sent: s, era: era}
	if era == m.era {
		m.flights[at] = f
	}
	return f
}

// Land notes that it failed. Of one that was not answered the watch may still
// tell.
func (m *Mirror) Land(at copies.Key, f *Flight, answered bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flights[at] == f {
		delete(m.flights, at)
	}
	if !answered && f.era == m.era && len(m.expected) < expectedMost {
		m.expected[at] = expectation{sent: f.Sent}
	}
}

// Wrote takes in what the server answered to a write, and returns what stands
// there by that.
func (m *Mirror) Wrote(at copies.Key, f *Flight, r *copies.Copy) *copies.Copy {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flights[at] == f {
		delete(m.flights, at)
	}
	echoed := false
	for _, s := range f.seen {
		if s.copy.ResourceVersion == r.ResourceVersion {
			echoed = true
			own := *s.copy // that one may have been handed out
			own.Manager, own.Altered = nil, s.altered
			r = &own
		}
	}
	r.Reuse(f.Sent.Owner, f.Sent.Stamp)
	if m.answered(at, f, r) && !echoed && len(m.expected) < expectedMost {
		r.Unconfirmed = r.Watched
		m.expected[at] = expectation{r.ResourceVersion, f.Sent}
	}
	return r
}

// WroteAll takes in what the server answered to a write with all that stands there, so
// that no event has to be waited for.
func (m *Mirror) WroteAll(at copies.Key, f *Flight, r *copies.Copy) *copies.Copy {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flights[at] == f {
		delete(m.flights, at)
	}
	m.answered(at, f, r)
	return r
}

// answered enters what a write was answered with; false where the Secret was deleted or
// changed again before the answer came, or the write was made in another cluster. m.mu is
// held.
func (m *Mirror) answered(at copies.Key, f *Flight, r *copies.Copy) bool {
	if f.era != m.era {
		return false
	}
	if old := m.place(at); f.gone != "" && !copies.Newer(r.ResourceVersion, f.gone) || old != nil && copies.Newer(old.ResourceVersion, r.ResourceVersion) {
		return false
	}
	m.put(at, r)
	delete(m.expected, at)
	m.heard(at)
	return true
}

// heard notes that a place was told of by another than the listing that may be under way.
// m.mu is held.
func (m *Mirror) heard(at copies.Key) {
	if s := m.scopeOf(at.Namespace); s != nil && s.written != nil {
		s.written[at] = struct{}{}
	}
}

// Asked is what was known of a place when a request to read it began.
type Asked struct {
	Known  *copies.Copy
	Left   string // the resource version at which it was told to be gone; empty: it was not
	listed string // that of the last whole listing of its namespace
	era    Era
}

// Before is what a request to read a place has to know, by a way of that era, and hands to
// [Mirror.Found].
func (m *Mirror) Before(at copies.Key, era Era) Asked {
	m.mu.RLock()
	defer m.mu.RUnlock()
	asked := Asked{Known: m.place(at), Left: m.left[at], era: era}
	if s := m.scopeOf(at.Namespace); s != nil {
		asked.listed = s.listed
	}
	return asked
}

// Found takes in what a request to read a place was answered, and returns what stands
// there by that.
func (m *Mirror) Found(at copies.Key, r *copies.Copy, before Asked) *copies.Copy {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.place(at)
	switch {
	case before.era != m.era:
		return old // another cluster was asked
	case r == nil && old == before.Known:
		m.put(at, nil)
		delete(m.left, at)
		return nil
	case r == nil:
		return old // it came meanwhile
	case old == nil && m.wentSince(at, r, before):
		return nil
	case old != nil && copies.Newer(old.ResourceVersion, r.ResourceVersion):
		return old
	case old != nil && old.ResourceVersion == r.ResourceVersion:
		r.Altered = old.Altered
		r.Remains(old)
		if r.Altered != nil && r.Owner == (copies.Owner{}) {
			r.Owner = old.Owner
		}
	case old != nil:
		r.Follows(old, m.flights[at] != nil)
	}
	m.put(at, r)
	m.heard(at)
	return r
}

// wentSince reports whether what a request to read a place was answered went before the
// answer came. One that is seen only by its label may be the answer all the same: losing
// that is what was told, and its version is the one at which it was lost. m.mu is held.
func (m *Mirror) wentSince(at copies.Key, r *copies.Copy, before Asked) bool {
	if m.isRemoved(at, r.ResourceVersion) {
		return true
	}
	if left := m.left[at]; left != "" && left != before.Left {
		return copies.Newer(left, r.ResourceVersion)
	}
	if s := m.scopeOf(at.Namespace); s != nil && s.listed != before.listed && r.Watched {
		return copies.Newer(s.listed, r.ResourceVersion) // it would be in that listing
	}
	return before.Known != nil
}

// Removed takes in that a deletion was answered.
func (m *Mirror) Removed(at copies.Key, old *copies.Copy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// What is known may have been told of once more as it was, or be shared by others.
	if now := m.place(at); now != nil && now.UID == old.UID && now.ResourceVersion == old.ResourceVersion {
		m.put(at, nil)
		if now.Watched && len(m.removed) < leftMost {
			m.removed[at] = now.ResourceVersion
		}
	}
}

// isRemoved reports whether what is told of a place is from before we deleted what stood
// there. m.mu is held.
func (m *Mirror) isRemoved(at copies.Key, rv string) bool {
	removed, is := m.removed[at]
	return is && !copies.Newer(rv, removed)
}
