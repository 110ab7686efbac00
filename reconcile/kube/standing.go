package kube

import (
	"iter"
	"sync"

	"k8s.io/apimachinery/pkg/labels"

	"secretsync/reconcile/fault"
)

// standing is what is known to stand in the cluster. What the watch tells, what
// listings tell and what our own requests are answered all arrive here, in any
// order; resource versions say which is the newest:
//
//	what arrives             is taken in unless
//	an event                 it is older than what is known; at the same version it is the echo of
//	                         what we wrote, and compared once with what was sent
//	the answer to a write    an event since has told of something newer, or of a deletion
//	an answer to Read        something newer is known; "none stands there" only if nothing arrived meanwhile
//	a whole listing          it replaces all of its namespaces, but for what was written since it began
type standing struct {
	mu         sync.RWMutex
	namespaces map[string]*namespace
	seesNames  bool // the list of namespaces is known: one that is not in it does not exist
	labelling
	scopes   map[string]*scope
	wanted   map[string]bool // namespaces that were asked for before they were followed
	flights  map[Key]*flight
	expected map[Key]expectation
	left     map[Key]string // the resource version at which it went
}

// namespace is what is known of one namespace.
type namespace struct {
	state  NamespaceState
	copies map[string]*Copy
	labels labels.Set // nil while nobody selects by them, and for one without any
}

// scope is where one watch of Secrets looks: a namespace, or "", everywhere.
type scope struct {
	fault *fault.Fault // why what stands there is not known; nil once it is listed
	// written are the places that were written since the listing that is under
	// way began; nil where none is.
	written map[Key]struct{}
}

// flight is one write of ours on its way.
type flight struct {
	sent *sent  // nil: a deletion
	gone string // the resource version at which the Secret was deleted since it began
	seen []sight
}

// sight is what the watch told of a place while a write to it was under way: it
// may be the echo of that write.
type sight struct {
	copy    *Copy
	altered *Alteration
}

// expectation is what a write sent, until the watch tells what came of it.
type expectation struct {
	rv   string
	sent *sent
}

// Both are conveniences, and bounded: without them an alteration is told
// without its details, and a copy that lost its label is found by a refused create.
const (
	expectedMost = 4096
	leftMost     = 16384
)

func newStanding() standing {
	return standing{
		namespaces: make(map[string]*namespace),
		labelling:  labelling{unlabelled: make(chan struct{}, 1)},
		scopes:     make(map[string]*scope),
		wanted:     make(map[string]bool),
		flights:    make(map[Key]*flight),
		expected:   make(map[Key]expectation),
		left:       make(map[Key]string),
	}
}

// forget drops all that is known: another cluster stands behind the name.
func (c *Cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.namespaces)
	clear(c.scopes)
	clear(c.wanted)
	clear(c.expected)
	clear(c.left)
	for _, f := range c.flights {
		f.gone, f.seen = "", nil
	}
	c.seesNames, c.labelled = false, false
}

// place returns what is known of a place. c.mu is held.
func (c *Cluster) place(at Key) *Copy {
	if ns := c.namespaces[at.Namespace]; ns != nil {
		return ns.copies[at.Name]
	}
	return nil
}

// put enters a copy, or with nil that none is there. c.mu is held.
func (c *Cluster) put(at Key, r *Copy) {
	ns := c.namespaces[at.Namespace]
	switch {
	case r != nil && ns == nil:
		ns = &namespace{state: NamespaceMissing, copies: make(map[string]*Copy)}
		c.namespaces[intern(at.Namespace)] = ns
		ns.copies[at.Name] = r
	case r != nil:
		if ns.copies == nil {
			ns.copies = make(map[string]*Copy)
		}
		ns.copies[at.Name] = r
	case ns != nil:
		delete(ns.copies, at.Name)
		if len(ns.copies) == 0 {
			ns.copies = nil // a map never shrinks
			if ns.state == NamespaceMissing {
				delete(c.namespaces, at.Namespace)
			}
		}
	}
	if r != nil {
		delete(c.left, at)
	}
}

// goes notes that the watch no longer tells of a copy, since a resource version.
// c.mu is held.
func (c *Cluster) goes(at Key, rv string) {
	c.put(at, nil)
	delete(c.expected, at)
	if len(c.left) < leftMost {
		c.left[at] = rv
	}
}

// scopeOf returns where a namespace is looked at; nil where it is not. c.mu is held.
func (c *Cluster) scopeOf(namespace string) *scope {
	if s := c.scopes[""]; s != nil {
		return s
	}
	return c.scopes[namespace]
}

// Look says from memory what stands in a place.
func (c *Cluster) Look(at Key) Seen {
	seen, followed := c.look(at)
	if !followed {
		seen.Fault = listing
		c.want(at.Namespace)
	}
	return seen
}

// look is Look, and says whether the namespace is followed.
func (c *Cluster) look(at Key) (seen Seen, followed bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	seen = Seen{Copy: c.place(at)}
	_, seen.Left = c.left[at]
	switch ns := c.namespaces[at.Namespace]; {
	case !c.seesNames:
	case ns != nil:
		seen.Namespace = ns.state
	default:
		seen.Namespace = NamespaceMissing
	}
	s := c.scopeOf(at.Namespace)
	if s != nil {
		seen.Fault = s.fault
	}
	return seen, s != nil
}

var listing = fault.New(fault.Pending, fault.ReasonQueued, "what stands in the namespace is being read")

// want has a namespace followed that nobody asked for before.
func (c *Cluster) want(namespace string) {
	c.mu.Lock()
	new := !c.wanted[namespace]
	c.wanted[namespace] = true
	c.mu.Unlock()
	if new {
		signal(c.scopeMoved)
	}
}

// Copies are all Secrets known that bear our label, or that we wrote; of one that is
// shared each share.
func (c *Cluster) Copies() iter.Seq2[Key, *Copy] {
	type entry struct {
		at   Key
		copy *Copy
	}
	return func(yield func(Key, *Copy) bool) {
		c.mu.RLock()
		var all []entry
		for namespace, ns := range c.namespaces {
			for name, r := range ns.copies {
				for r := range r.Counted() {
					all = append(all, entry{Key{namespace, name}, r})
				}
			}
		}
		c.mu.RUnlock()
		for _, e := range all {
			if !yield(e.at, e.copy) {
				return
			}
		}
	}
}

// Marked are the copies and shares of a namespace, or of all, that say that they go
// with their target.
func (c *Cluster) Marked(in string) map[Key][]*Copy {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var marked map[Key][]*Copy
	for namespace, ns := range c.namespaces {
		if in != "" && namespace != in {
			continue
		}
		for name, r := range ns.copies {
			for r := range r.Counted() {
				if !r.Deletes {
					continue
				}
				if marked == nil {
					marked = make(map[Key][]*Copy)
				}
				marked[Key{namespace, name}] = append(marked[Key{namespace, name}], r)
			}
		}
	}
	return marked
}

// signal rings a bell that one goroutine waits for.
func signal(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}
