package reconcile

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"secretsync/gitstore/definition"
)

// The labels of namespaces are kept by a cluster only while a tenant wants them: its
// definitions select by them, or a plan of its does.

// label has the tenant be told of the namespaces' labels in the cluster.
func (c *connection) label(t *tenant) {
	c.labels.Lock()
	defer c.labels.Unlock()
	c.selecting = append(slices.Clip(c.selecting), t)
	if len(c.selecting) == 1 {
		c.kube.Label(c.relabelled)
	}
}

// unlabel ends that.
func (c *connection) unlabel(t *tenant) {
	c.labels.Lock()
	defer c.labels.Unlock()
	if i := slices.Index(c.selecting, t); i >= 0 {
		c.selecting = slices.Delete(slices.Clone(c.selecting), i, i+1)
	}
	if len(c.selecting) == 0 {
		c.kube.Label(nil)
	}
}

// relabelled tells those who select that a namespace changed, or all may have.
func (c *connection) relabelled(namespace string) {
	c.labels.Lock()
	tenants := c.selecting
	c.labels.Unlock()
	for _, t := range tenants {
		t.relabelled(c, namespace)
	}
}

// learn has the labels known of all clusters in which definitions select, and waits
// for that while they can be reached and ctx lasts. The returned function ends it;
// nil where nothing is selected.
func (t *tenant) learn(ctx context.Context, of definition.Set) (end func()) {
	t.mu.RLock()
	grants := t.grants
	t.mu.RUnlock()
	var asked []*connection
	for i := range of.Definitions {
		for _, spec := range of.Definitions[i].Sync {
			g, ok := grants[spec.Cluster]
			if ok && !spec.Selector.IsZero() && !slices.Contains(asked, g.connection) {
				asked = append(asked, g.connection)
				g.connection.label(t)
			}
		}
	}
	if asked == nil {
		return nil
	}
	none := func(string, labels.Set) bool { return false }
	for _, c := range asked {
		for {
			changed := t.changes.wait()
			_, unknown := c.kube.Select(none)
			if unknown == nil || unknown.Reason != ReasonQueued || c.outage() != nil || ctx.Err() != nil {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
	return func() {
		for _, c := range asked {
			c.unlabel(t)
		}
	}
}
