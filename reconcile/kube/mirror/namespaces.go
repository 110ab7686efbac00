package mirror

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Namespaces is a listing of the namespaces that is taken in.
type Namespaces struct {
	of       *Mirror
	seen     map[string]namespace
	labelled int
}

// BeginNamespaces notes that the namespaces are being listed.
func (m *Mirror) BeginNamespaces() *Namespaces {
	return &Namespaces{of: m, seen: make(map[string]namespace), labelled: m.selects()}
}

// Took takes in one of them.
func (n *Namespaces) Took(o metav1.Object) { n.seen[o.GetName()] = n.of.namespaceOf(o) }

// Complete takes in that these were all.
func (n *Namespaces) Complete() { n.of.replacedNamespaces(n.seen, n.labelled) }

// NamespacesRefused takes in that the cluster does not let us see which there are.
func (m *Mirror) NamespacesRefused() { m.replacedNamespaces(nil, 0) }

// SawNamespace takes in an event of the watch of namespaces.
func (m *Mirror) SawNamespace(o metav1.Object) { m.sawNamespace(o.GetName(), m.namespaceOf(o)) }

// NamespaceGone takes in that a namespace was deleted.
func (m *Mirror) NamespaceGone(name string) {
	m.sawNamespace(name, namespace{state: NamespaceMissing})
}

// sawNamespace takes in the state of one namespace.
func (m *Mirror) sawNamespace(name string, now namespace) {
	m.mu.Lock()
	changed, relabelled := m.sawNamespaceLocked(name, now)
	told := m.told
	m.mu.Unlock()
	if told != nil && (changed || relabelled) {
		told(name)
	}
	if changed {
		m.cfg.Moved()
		if m.cfg.Usable() {
			m.cfg.Observer.Everything(name)
		}
	}
}

// sawNamespaceLocked reports whether its state changed, or it is another of that name, and
// whether its labels did.
func (m *Mirror) sawNamespaceLocked(name string, now namespace) (changed, relabelled bool) {
	ns := m.namespaces[name]
	switch {
	case ns == nil && now.state == NamespaceMissing:
		return false, false
	case ns == nil:
		m.namespaces[name] = &namespace{state: now.state, uid: now.uid, labels: now.labels}
		return true, len(now.labels) > 0
	}
	changed, relabelled = ns.state != now.state || ns.uid != now.uid, !maps.Equal(ns.labels, now.labels)
	ns.state, ns.uid, ns.labels = now.state, now.uid, now.labels
	if ns.state == NamespaceMissing && len(ns.copies) == 0 {
		delete(m.namespaces, name)
	}
	return changed, relabelled
}

// replacedNamespaces takes in the whole list of them; nil says that the cluster
// does not let us see it. labelled is what
// selects said when the listing began.
func (m *Mirror) replacedNamespaces(seen map[string]namespace, labelled int) {
	m.mu.Lock()
	sees := seen != nil
	flipped := m.seesNames != sees
	m.seesNames = sees
	m.labelled = sees && m.told != nil && labelled == m.selections
	m.refused = !sees
	var changed []string
	take := func(name string, now namespace) {
		if moved, _ := m.sawNamespaceLocked(name, now); moved {
			changed = append(changed, name)
		}
	}
	for name := range m.namespaces {
		if _, ok := seen[name]; !ok {
			take(name, namespace{state: NamespaceMissing})
		}
	}
	for name, now := range seen {
		take(name, now)
	}
	told := m.told
	m.mu.Unlock()
	m.cfg.Moved()
	if told != nil {
		told("")
	}
	switch {
	case !m.cfg.Usable():
	case flipped:
		m.cfg.Observer.Everything("")
	default:
		for _, name := range changed {
			m.cfg.Observer.Everything(name)
		}
	}
}
