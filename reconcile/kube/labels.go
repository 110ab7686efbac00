package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"secretsync/reconcile/fault"
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
	// unlabelled rings when labels are wanted that were not kept before: the
	// namespaces are listed again then.
	unlabelled chan struct{}
}

// Label has the labels of namespaces kept from now on, and told called when a
// namespace appeared, goes, is gone or bears other labels; with "" when any may.
// It is called without a lock held and from many goroutines, and must return soon.
// Nil ends that, and forgets the labels.
func (c *Cluster) Label(told func(namespace string)) {
	c.mu.Lock()
	before := c.told
	c.told = told
	switch {
	case told != nil && before == nil:
		c.selections++
	case told == nil:
		c.labelled = false
		for _, ns := range c.namespaces {
			ns.labels = nil
		}
	}
	c.mu.Unlock()
	if before == nil && told != nil {
		signal(c.unlabelled)
	}
}

// unknownLabels says why it is not known which namespaces bear which labels; nil
// where it is. While the cluster can't be reached it stays what was known last.
// c.mu is held.
func (c *Cluster) unknownLabels() *fault.Fault {
	switch {
	case c.labelled:
		return nil
	case c.refused:
		return fault.New(fault.Error, fault.ReasonForbidden,
			"the cluster does not let us list namespaces, so that none can be selected by labels; allow get, list and watch on namespaces to our user, or name each namespace")
	}
	return fault.Transient(fault.Pending, fault.ReasonQueued, "the namespaces of the cluster and their labels are being read")
}

// Labels returns the labels of a namespace, which must not be modified, and how it
// stands; or why that is not known.
func (c *Cluster) Labels(namespace string) (labels.Set, NamespaceState, *fault.Fault) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if f := c.unknownLabels(); f != nil {
		return nil, NamespaceUnknown, f
	}
	if ns := c.namespaces[namespace]; ns != nil {
		return ns.labels, ns.state, nil
	}
	return nil, NamespaceMissing, nil
}

// Select returns the namespaces that are there and of which match says so by name
// and labels, in no order; or why that is not known. match must not ask anything of
// the cluster.
func (c *Cluster) Select(match func(name string, labels labels.Set) bool) ([]string, *fault.Fault) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if f := c.unknownLabels(); f != nil {
		return nil, f
	}
	var names []string
	for name, ns := range c.namespaces {
		if ns.state == NamespaceThere && match(name, ns.labels) {
			names = append(names, name)
		}
	}
	return names, nil
}

// selects is which of the times it is that somebody selects; 0: nobody does.
func (c *Cluster) selects() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.told == nil {
		return 0
	}
	return c.selections
}

// namespaceOf makes a record of a namespace.
func (c *Cluster) namespaceOf(o metav1.Object) namespace {
	ns := namespace{state: stateOf(o)}
	if len(o.GetLabels()) > 0 && c.selects() > 0 {
		ns.labels = make(labels.Set, len(o.GetLabels()))
		for k, v := range o.GetLabels() {
			ns.labels[intern(k)] = intern(v) // a listing's own texts would keep all of it
		}
	}
	return ns
}

// untilLabelled ends the context when labels are wanted that were not kept. The
// returned function ends it as well, and waits until nobody listens any more.
func (c *connection) untilLabelled(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-c.unlabelled:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-ended }
}
