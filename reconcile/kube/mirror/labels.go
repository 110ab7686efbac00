package mirror

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// labelling is what is known of the labels of namespaces. They are kept only while
// somebody selects namespaces by them, as most clusters have more namespaces than
// anybody here cares for.
type labelling struct {
	told     func(namespace string) // nil: nobody selects
	labelled bool                   // the labels of all namespaces are known
	// selections counts how often somebody began to select: what was listed before the
	// latest lacks labels.
	selections int
	refused    bool // the cluster does not let us list namespaces
	unlabelled chan struct{}
}

// Label has the labels of namespaces kept from now on, and told called when a
// namespace appeared, goes, is gone or bears other labels; with "" when any may.
// It is called without a lock held and from many goroutines, and must return soon.
// Nil ends that, and forgets the labels.
func (m *Mirror) Label(told func(namespace string)) {
	m.mu.Lock()
	before := m.told
	m.told = told
	switch {
	case told != nil && before == nil:
		m.selections++
	case told == nil:
		m.labelled = false
		for _, ns := range m.namespaces {
			ns.labels = nil
		}
	}
	m.mu.Unlock()
	if before == nil && told != nil {
		select {
		case m.unlabelled <- struct{}{}:
		default:
		}
	}
}

// unknownLabels says why it is not known which namespaces bear which labels; nil
// where it is. While the cluster can't be reached it stays what was known last.
// m.mu is held.
func (m *Mirror) unknownLabels() *fault.Fault {
	switch {
	case m.labelled:
		return nil
	case m.refused:
		return fault.New(fault.Error, fault.ReasonForbidden,
			"the cluster does not let us list namespaces, so that none can be selected by labels; allow get, list and watch on namespaces to our user, or name each namespace")
	}
	return fault.Transient(fault.Pending, fault.ReasonQueued, "the namespaces of the cluster and their labels are being read")
}

// Labels returns the labels of a namespace, which must not be modified, and how it
// stands; or why that is not known.
func (m *Mirror) Labels(namespace string) (labels.Set, NamespaceState, *fault.Fault) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if f := m.unknownLabels(); f != nil {
		return nil, NamespaceUnknown, f
	}
	if ns := m.namespaces[namespace]; ns != nil {
		return ns.labels, ns.state, nil
	}
	return nil, NamespaceMissing, nil
}

// Select returns the namespaces that are there and of which match says so by name
// and labels, in no order; or why that is not known. match must not ask anything of
// the cluster.
func (m *Mirror) Select(match func(name string, labels labels.Set) bool) ([]string, *fault.Fault) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if f := m.unknownLabels(); f != nil {
		return nil, f
	}
	var names []string
	for name, ns := range m.namespaces {
		if ns.state == NamespaceThere && match(name, ns.labels) {
			names = append(names, name)
		}
	}
	return names, nil
}

// selects is which of the times it is that somebody selects; 0: nobody does.
func (m *Mirror) selects() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.told == nil {
		return 0
	}
	return m.selections
}

// namespaceOf makes a record of a namespace.
func (m *Mirror) namespaceOf(o metav1.Object) namespace {
	ns := namespace{state: stateOf(o), uid: strings.Clone(string(o.GetUID()))} // as the labels below
	if len(o.GetLabels()) > 0 && m.selects() > 0 {
		ns.labels = make(labels.Set, len(o.GetLabels()))
		for k, v := range o.GetLabels() {
			ns.labels[copies.Intern(k)] = copies.Intern(v) // a listing's own texts would keep all of it
		}
	}
	return ns
}

// Unlabelled rings when labels are wanted that were not kept before: the namespaces have
// to be listed again.
func (m *Mirror) Unlabelled() <-chan struct{} { return m.unlabelled }
