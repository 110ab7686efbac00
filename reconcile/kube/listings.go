package kube

import (
	"maps"

	corev1 "k8s.io/api/core/v1"

	"secretsync/reconcile/fault"
)

// listingBegins notes that a listing of a scope begins.
func (c *Cluster) listingBegins(where string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.scopes[where]
	if s == nil {
		s = &scope{fault: listing}
		c.scopes[where] = s
	}
	s.written = make(map[Key]struct{})
}

// listed makes a record of one Secret of a listing.
func (c *Cluster) listed(s *corev1.Secret) *Copy {
	r := c.observe(s)
	at := Key{s.Namespace, s.Name}
	c.mu.RLock()
	f, e := c.flights[at], c.expected[at]
	c.mu.RUnlock()
	if f != nil || e.sent != nil && e.rv == r.ResourceVersion {
		c.mu.Lock()
		defer c.mu.Unlock()
		if f := c.flights[at]; f != nil {
			f.saw(s, r)
		}
		if e := c.expected[at]; e.sent != nil && e.rv == r.ResourceVersion {
			r.Altered = e.sent.altered(s)
		}
	}
	return r
}

// replaced takes in a whole listing: what is not in it is gone, except what we
// wrote since it began, and what has no label to be listed by.
func (c *Cluster) replaced(where string, seen map[Key]*Copy, rv string) {
	c.mu.Lock()
	s := c.scopes[where]
	written := s.written
	s.written = nil
	fresh := s.fault != nil
	s.fault = nil
	var changed []Key
	for name, ns := range c.namespaces {
		if where != "" && name != where {
			continue
		}
		for secret, old := range ns.copies {
			at := Key{name, secret}
			r, ok := seen[at]
			delete(seen, at)
			_, ours := written[at]
			switch {
			case ok && ours && newer(old.ResourceVersion, r.ResourceVersion):
			case ok:
				if r.ResourceVersion != old.ResourceVersion {
					follows(old, r, c.flights[at] != nil)
				} else {
					r.Manager = old.Manager
					r.shared.carry(old.shared)
					if r.Altered == nil {
						r.Altered = old.Altered
					}
				}
				delete(c.expected, at)
				c.put(at, r)
				if !old.same(r) {
					changed = append(changed, at)
				}
			case !old.Watched:
			case ours && newer(old.ResourceVersion, rv):
			default:
				c.goes(at, rv)
				changed = append(changed, at)
			}
		}
	}
	for at, r := range seen {
		c.put(at, r)
		changed = append(changed, at)
	}
	for at, f := range c.flights {
		if where == "" || at.Namespace == where {
			f.gone = "" // of a server whose versions may have begun anew
		}
	}
	c.mu.Unlock()
	switch {
	case c.Outage() != nil:
	case fresh:
		c.observer.Everything(where)
	default:
		for _, at := range changed {
			c.observer.Changed(at)
		}
	}
}

// refuse notes that the cluster does not let us see what stands in a namespace.
func (c *Cluster) refuse(where string, f *fault.Fault) {
	c.mu.Lock()
	s := c.scopes[where]
	if s == nil {
		s = &scope{}
		c.scopes[where] = s
	}
	changed := s.fault == nil || s.fault.Reason != f.Reason
	s.fault, s.written = f, nil
	c.mu.Unlock()
	if changed && c.Outage() == nil {
		c.observer.Everything(where)
	}
}

// leave forgets a namespace that is no longer followed.
func (c *Cluster) leave(where string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.scopes, where)
	if ns := c.namespaces[where]; ns != nil {
		ns.copies = nil
	}
}

// sawNamespace takes in the state of one namespace.
func (c *Cluster) sawNamespace(name string, now namespace) {
	c.mu.Lock()
	changed, relabelled := c.sawNamespaceLocked(name, now)
	told := c.told
	c.mu.Unlock()
	if told != nil && (changed || relabelled) {
		told(name)
	}
	if changed {
		signal(c.scopeMoved)
		if c.Outage() == nil {
			c.observer.Everything(name)
		}
	}
}

// sawNamespaceLocked reports whether its state changed, and whether its labels did.
func (c *Cluster) sawNamespaceLocked(name string, now namespace) (changed, relabelled bool) {
	ns := c.namespaces[name]
	switch {
	case ns == nil && now.state == NamespaceMissing:
		return false, false
	case ns == nil:
		c.namespaces[name] = &namespace{state: now.state, labels: now.labels}
		return true, len(now.labels) > 0
	}
	changed, relabelled = ns.state != now.state, !maps.Equal(ns.labels, now.labels)
	ns.state, ns.labels = now.state, now.labels
	if ns.state == NamespaceMissing && len(ns.copies) == 0 {
		delete(c.namespaces, name)
	}
	return changed, relabelled
}

// replacedNamespaces takes in the whole list of them; nil says that the cluster
// does not let us see it. labelled is what
// selects said when the listing began.
func (c *Cluster) replacedNamespaces(seen map[string]namespace, labelled int) {
	c.mu.Lock()
	sees := seen != nil
	flipped := c.seesNames != sees
	c.seesNames = sees
	c.labelled = sees && c.told != nil && labelled == c.selections
	c.refused = !sees
	var changed []string
	take := func(name string, now namespace) {
		if moved, _ := c.sawNamespaceLocked(name, now); moved {
			changed = append(changed, name)
		}
	}
	for name := range c.namespaces {
		if _, ok := seen[name]; !ok {
			take(name, namespace{state: NamespaceMissing})
		}
	}
	for name, now := range seen {
		take(name, now)
	}
	told := c.told
	c.mu.Unlock()
	signal(c.scopeMoved)
	if told != nil {
		told("")
	}
	switch {
	case c.Outage() != nil:
	case flipped:
		c.observer.Everything("")
	default:
		for _, name := range changed {
			c.observer.Everything(name)
		}
	}
}
