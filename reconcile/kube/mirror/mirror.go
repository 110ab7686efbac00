package mirror

import (
	"iter"
	"sync"

	"k8s.io/apimachinery/pkg/labels"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// Mirror is what is known to stand in the cluster. What the watch tells, what
// listings tell and what our own requests are answered all arrive here, in any
// order; resource versions say which is the newest:
//
//	what arrives             is taken in unless
//	an event                 it is older than what is known, or of what we deleted; at the same version it
//	                         is the echo of what we wrote, and compared once with what was sent
//	the answer to a write    an event since has told of something newer, or of a deletion
//	an answer to Read        something newer is known, or that it went; "none stands there" only if
//	                         nothing arrived meanwhile
//	a whole listing          it replaces all of its namespaces, but for what was written since it began
//
// What a request was answered that another cluster was asked, which stood behind the name
// before, is of no concern.
type Mirror struct {
	cfg Config

	mu         sync.RWMutex
	era        Era
	namespaces map[string]*namespace
	seesNames  bool // the list of namespaces is known: one that is not in it does not exist
	labelling
	scopes   map[string]*scope
	wanted   map[string]bool // namespaces that were asked for before they were followed
	flights  map[copies.Key]*Flight
	expected map[copies.Key]expectation
	left     map[copies.Key]string // the resource version at which it went
	removed  map[copies.Key]string // that of what we deleted, till the watch tells that it went
}

// Era is between two times that all is forgotten: in it one cluster stands behind the name.
type Era uint64

// namespace is what is known of one namespace.
type namespace struct {
	state  NamespaceState
	uid    string // empty for one that is missing
	copies map[string]*copies.Copy
	marked int        // of the copies, those of which something goes with its target
	labels labels.Set // nil while nobody selects by them, and for one without any
}

// scope is where one watch of Secrets looks: a namespace, or "", everywhere.
type scope struct {
	fault  *fault.Fault // why what stands there is not known; nil once it is listed
	listed string       // the resource version of the last whole listing; empty: there was none
	// written are the places that were written since the listing that is under
	// way began; nil where none is.
	written map[copies.Key]struct{}
}

// Flight is one write of ours on its way.
type Flight struct {
	Sent *copies.Sent
	era  Era
	gone string // the resource version at which the Secret was deleted, or not there, since it began
	seen []sight
}

// sight is what the watch told of a place while a write to it was under way: it
// may be the echo of that write.
type sight struct {
	copy    *copies.Copy
	altered *copies.Alteration
}

// expectation is what a write sent, until the watch tells what came of it.
type expectation struct {
	rv   string
	sent *copies.Sent
}

// Both are conveniences, and bounded: without them an alteration is told
// without its details, and a copy that lost its label is found by a refused create.
const (
	expectedMost = 4096
	leftMost     = 16384
)

// Config is what a [Mirror] works with. All of it is needed.
type Config struct {
	// Reader makes records of what stands in the cluster as it is known now.
	Reader   func() copies.Reader
	Observer Observer
	// Usable reports whether the cluster can be used. While it can't, nobody is told of
	// what changes: when it can again, everything may have.
	Usable func() bool
	// Moved is called where the namespaces that are to be followed may be others.
	Moved func()
}

// New makes one that knows nothing.
func New(cfg Config) *Mirror {
	return &Mirror{
		cfg:        cfg,
		namespaces: make(map[string]*namespace),
		labelling:  labelling{unlabelled: make(chan struct{}, 1)},
		scopes:     make(map[string]*scope),
		wanted:     make(map[string]bool),
		flights:    make(map[copies.Key]*Flight),
		expected:   make(map[copies.Key]expectation),
		left:       make(map[copies.Key]string),
		removed:    make(map[copies.Key]string),
	}
}

// Forget drops all that is known: another cluster stands behind the name.
func (m *Mirror) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.era++
	clear(m.namespaces)
	clear(m.scopes)
	clear(m.wanted)
	clear(m.flights) // their answers are of the other cluster
	clear(m.expected)
	clear(m.left)
	clear(m.removed)
	m.seesNames, m.labelled = false, false
}

// Era is the one that is now. Who makes a request has it from before he knew of a way to
// the cluster.
func (m *Mirror) Era() Era {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.era
}

// place returns what is known of a place. m.mu is held.
func (m *Mirror) place(at copies.Key) *copies.Copy {
	if ns := m.namespaces[at.Namespace]; ns != nil {
		return ns.copies[at.Name]
	}
	return nil
}

// forget drops the copies of a namespace.
func (ns *namespace) forget() { ns.copies, ns.marked = nil, 0 }

// marks is 1 for a copy of which something says that it goes with its target, and else 0.
func marks(r *copies.Copy) int {
	for c := range r.Counted() {
		if c.Deletes {
			return 1
		}
	}
	return 0
}

// put enters a copy, or with nil that none is there. m.mu is held.
func (m *Mirror) put(at copies.Key, r *copies.Copy) {
	ns := m.namespaces[at.Namespace]
	if ns != nil {
		ns.marked += marks(r) - marks(ns.copies[at.Name])
	}
	switch {
	case r != nil && ns == nil:
		ns = &namespace{state: NamespaceMissing, copies: make(map[string]*copies.Copy), marked: marks(r)}
		m.namespaces[copies.Intern(at.Namespace)] = ns
		ns.copies[at.Name] = r
	case r != nil:
		if ns.copies == nil {
			ns.copies = make(map[string]*copies.Copy)
		}
		ns.copies[at.Name] = r
	case ns != nil:
		delete(ns.copies, at.Name)
		if len(ns.copies) == 0 {
			ns.copies = nil // a map never shrinks
			if ns.state == NamespaceMissing {
				delete(m.namespaces, at.Namespace)
			}
		}
	}
	if r != nil {
		delete(m.left, at)
		delete(m.removed, at)
	}
}

// goes notes that the watch no longer tells of a copy, since a resource version.
// m.mu is held.
func (m *Mirror) goes(at copies.Key, rv string) {
	m.put(at, nil)
	delete(m.expected, at)
	if len(m.left) < leftMost {
		m.left[at] = rv
	}
}

// scopeOf returns where a namespace is looked at; nil where it is not. m.mu is held.
func (m *Mirror) scopeOf(namespace string) *scope {
	if s := m.scopes[""]; s != nil {
		return s
	}
	return m.scopes[namespace]
}

// Look says from memory what stands in a place. A namespace that was not followed yet is
// from now on, if it is granted.
func (m *Mirror) Look(at copies.Key) Seen {
	seen, followed := m.look(at)
	if !followed {
		seen.Fault = listing
		m.want(at.Namespace)
	}
	return seen
}

// Peek is Look, but has no namespace followed.
func (m *Mirror) Peek(at copies.Key) Seen {
	seen, _ := m.look(at)
	return seen
}

// look says from memory what stands in a place, and whether its namespace is followed.
func (m *Mirror) look(at copies.Key) (seen Seen, followed bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	seen = Seen{Copy: m.place(at)}
	_, seen.Left = m.left[at]
	switch ns := m.namespaces[at.Namespace]; {
	case !m.seesNames:
	case ns != nil:
		seen.Namespace, seen.NamespaceUID = ns.state, ns.uid
	default:
		seen.Namespace = NamespaceMissing
	}
	s := m.scopeOf(at.Namespace)
	if s != nil {
		seen.Fault = s.fault
	}
	return seen, s != nil
}

var listing = fault.New(fault.Pending, fault.ReasonQueued, "what stands in the namespace is being read")

// want has a namespace followed that nobody asked for before.
func (m *Mirror) want(namespace string) {
	m.mu.Lock()
	new := !m.wanted[namespace]
	m.wanted[namespace] = true
	m.mu.Unlock()
	if new {
		m.cfg.Moved()
	}
}

// Copies are the Secrets known that bear our label, or that we wrote, of one tenant in some
// namespaces; of one that is shared each share. They are those of one moment, and of other
// namespaces none is looked at.
func (m *Mirror) Copies(tenant string, in func(namespace string) bool) iter.Seq2[copies.Key, *copies.Copy] {
	return m.counted(func(name string, _ *namespace) bool { return in(name) }, func(r *copies.Copy) bool { return r.Tenant == tenant })
}

// Marked are the copies and shares of a namespace, or of all, that say that they go
// with their target, and are of such tenants, as of one moment. Namespaces where none says
// so cost next to nothing: it is asked for whenever tenants come. of must not ask anything of
// the cluster.
func (m *Mirror) Marked(in string, of func(tenant string) bool) iter.Seq2[copies.Key, *copies.Copy] {
	return m.counted(
		func(name string, ns *namespace) bool { return ns.marked > 0 && (in == "" || name == in) },
		func(r *copies.Copy) bool { return r.Deletes && of(r.Tenant) })
}

// counted yields, with m.mu given up, the copies and shares of some namespaces that are
// such.
func (m *Mirror) counted(in func(name string, ns *namespace) bool, such func(*copies.Copy) bool) iter.Seq2[copies.Key, *copies.Copy] {
	type entry struct {
		at   copies.Key
		copy *copies.Copy
	}
	return func(yield func(copies.Key, *copies.Copy) bool) {
		var all []entry
		m.mu.RLock()
		for namespace, ns := range m.namespaces {
			if len(ns.copies) == 0 || !in(namespace, ns) {
				continue
			}
			for name, r := range ns.copies {
				for r := range r.Counted() {
					if such(r) {
						all = append(all, entry{copies.Key{Namespace: namespace, Name: name}, r})
					}
				}
			}
		}
		m.mu.RUnlock()
		for _, e := range all {
			if !yield(e.at, e.copy) {
				return
			}
		}
	}
}
