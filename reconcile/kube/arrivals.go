package kube

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// saw takes in an event of the watch. s is nil where the Secret is gone, or lost
// our label.
func (c *Cluster) saw(at Key, s *corev1.Secret, rv string) {
	var r *Copy
	if s != nil {
		r = c.observe(s)
	}
	c.mu.Lock()
	changed := c.sawLocked(at, s, r, rv)
	c.mu.Unlock()
	if changed {
		c.observer.Changed(at)
	}
}

func (c *Cluster) sawLocked(at Key, s *corev1.Secret, r *Copy, rv string) (changed bool) {
	f := c.flights[at]
	switch {
	case f != nil && s == nil:
		f.gone = rv
	case f != nil:
		f.saw(s, r)
	}
	old := c.place(at)
	if old != nil && r != nil {
		r.shares(old.Owner, old.Stamp)
	}
	switch {
	case old != nil && newer(old.ResourceVersion, rv):
		return false // it is known already
	case s == nil:
		if old == nil {
			return false
		}
		c.goes(at, rv)
		return true
	case old != nil && old.ResourceVersion == rv:
		return c.echoed(at, old, s, r)
	}
	if e, ok := c.expected[at]; ok && e.rv == "" && r.Intact && e.sent.annotations[AnnotationHash] == r.Digest.String() {
		// A write of ours after all, that was never answered.
		r.Manager, r.Altered = nil, e.sent.altered(s)
	} else if old != nil {
		follows(old, r, f != nil)
	}
	delete(c.expected, at)
	c.put(at, r)
	return old == nil || !old.same(r)
}

// follows says of a new state of a Secret what only the one before it tells.
func follows(old, r *Copy, writing bool) {
	r.shared.carry(old.shared)
	if old.Altered != nil && old.Digest == r.Digest && old.Stamp == r.Stamp && old.Labelled == r.Labelled && old.Type == r.Type {
		r.Altered = old.Altered // somebody touched something else
		if r.Owner == (Owner{}) {
			r.Owner = old.Owner // neither labels nor hash can tell any more
		}
	}
	if writing || r.Manager != nil || r.UID != old.UID {
		return
	}
	// By its name it was us, and what we write is known.
	source := r.Intact && (r.Owner != old.Owner || r.Stamp != old.Stamp || r.Commit != old.Commit)
	if r.ours > old.ours || r.ours == old.ours && source {
		r.Manager = &Manager{Name: FieldManager, Time: time.Unix(r.ours, 0), Second: true}
	}
}

// echoed compares what stands with what we wrote, once.
func (c *Cluster) echoed(at Key, old *Copy, s *corev1.Secret, r *Copy) (changed bool) {
	e, ok := c.expected[at]
	delete(c.expected, at)
	r.shared.carry(old.shared)
	r.Manager = old.Manager
	switch {
	case ok && e.rv == r.ResourceVersion:
		r.Altered = e.sent.altered(s)
	case old.Digest != r.Digest && old.Altered == nil:
		r.Altered = &Alteration{} // what exactly is forgotten
	default:
		r.Altered = old.Altered
	}
	if old.same(r) {
		return false
	}
	c.put(at, r)
	return true
}

// saw notes what the watch tells while the write is under way.
func (f *flight) saw(s *corev1.Secret, r *Copy) {
	const most = 8
	if f.sent != nil && len(f.seen) < most {
		f.seen = append(f.seen, sight{r, f.sent.altered(s)})
	}
}

// takeOff notes that a write begins.
func (c *Cluster) takeOff(at Key, s *sent) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &flight{sent: s}
	c.flights[at] = f
	return f
}

// land notes that it failed. Of one that was not answered the watch may still
// tell.
func (c *Cluster) land(at Key, f *flight, answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[at] == f {
		delete(c.flights, at)
	}
	if !answered && f.sent != nil && len(c.expected) < expectedMost {
		c.expected[at] = expectation{sent: f.sent}
	}
}

// wrote takes in what the server answered to a write, and returns what stands
// there by that.
func (c *Cluster) wrote(at Key, f *flight, r *Copy) *Copy {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[at] == f {
		delete(c.flights, at)
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
	r.shares(f.sent.d.Owner, f.sent.d.Stamp)
	if old := c.place(at); f.gone != "" && !newer(r.ResourceVersion, f.gone) || old != nil && newer(old.ResourceVersion, r.ResourceVersion) {
		return r // deleted or changed again before the answer came
	}
	c.put(at, r)
	delete(c.expected, at)
	if !echoed && len(c.expected) < expectedMost {
		r.Unconfirmed = r.Watched
		c.expected[at] = expectation{r.ResourceVersion, f.sent}
	}
	if s := c.scopeOf(at.Namespace); s != nil && s.written != nil {
		s.written[at] = struct{}{}
	}
	return r
}

// wroteAll takes in what the server answered to a write with all that stands there, so
// that no event has to be waited for.
func (c *Cluster) wroteAll(at Key, f *flight, r *Copy) *Copy {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[at] == f {
		delete(c.flights, at)
	}
	if old := c.place(at); f.gone != "" && !newer(r.ResourceVersion, f.gone) || old != nil && newer(old.ResourceVersion, r.ResourceVersion) {
		return r
	}
	c.put(at, r)
	delete(c.expected, at)
	if s := c.scopeOf(at.Namespace); s != nil && s.written != nil {
		s.written[at] = struct{}{}
	}
	return r
}

// found takes in what Read was answered. before is what was known when it asked.
func (c *Cluster) found(at Key, r, before *Copy) *Copy {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.place(at)
	switch {
	case r == nil && old == before:
		c.put(at, nil)
		delete(c.left, at)
		return nil
	case r == nil:
		return old // it came meanwhile
	case old != nil && newer(old.ResourceVersion, r.ResourceVersion):
		return old
	case old != nil && old.ResourceVersion == r.ResourceVersion:
		r.Altered, r.Manager = old.Altered, old.Manager
		r.shared.carry(old.shared)
		if r.Altered != nil && r.Owner == (Owner{}) {
			r.Owner = old.Owner
		}
	case old != nil:
		follows(old, r, c.flights[at] != nil)
	}
	c.put(at, r)
	if s := c.scopeOf(at.Namespace); s != nil && s.written != nil {
		s.written[at] = struct{}{}
	}
	return r
}

// removed takes in that a deletion was answered.
func (c *Cluster) removed(at Key, old *Copy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.place(at) == old {
		c.put(at, nil)
	}
}
