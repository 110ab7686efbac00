package kube

import (
	"context"
	"encoding/json"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/refusal"
)

// Workload names something that runs pods from a template.
type Workload struct {
	Kind      string // deployment, statefulset or daemonset
	Namespace string
	Name      string
}

// String names it as kubectl does, without its namespace.
func (w Workload) String() string { return w.Kind + "/" + w.Name }

// Marks are annotations by which a workload remembers the copies that its pods
// were started with. They stand on the workload itself; on its pod template there
// stand only those whose setting was to restart it.
type Marks struct {
	Created     time.Time // of the workload, to the second
	Annotations map[string]string

	version string
}

// Workload reads what a workload bears. The refusal of one that does not exist
// is Gone, and of one whose marks are of a newer format Newer.
func (c *Cluster) Workload(ctx context.Context, w Workload) (*Marks, error) {
	k, err := c.ready()
	if err != nil {
		return nil, err
	}
	m, err := k.Workload(ctx, w.Kind, w.Namespace, w.Name)
	if err != nil {
		return nil, c.failsOn(ctx, err, "get", w)
	}
	if f := copies.ParseFormat(m.Annotations); f.Newer() {
		return nil, f.Refused()
	}
	return &Marks{Created: m.CreationTimestamp.Time, Annotations: m.Annotations, version: m.ResourceVersion}, nil
}

// Mark sets annotations on a workload and, in the same request, some on its pod
// template, by which it starts its pods anew. It does so only if the workload
// still is as it was read: else the refusal is Conflict.
func (c *Cluster) Mark(ctx context.Context, w Workload, read *Marks, own, template map[string]string) error {
	k, err := c.ready()
	if err != nil {
		return err
	}
	body, err := json.Marshal(markPatch(read.version, own, template))
	if err != nil {
		return &refusal.Error{Kind: refusal.Invalid, Message: "the annotations can't be encoded"}
	}
	if err := k.PatchWorkload(ctx, w.Kind, w.Namespace, w.Name, body); err != nil {
		return c.failsOn(ctx, err, "patch", w)
	}
	return nil
}

func markPatch(version string, own, template map[string]string) map[string]any {
	metadata := map[string]any{"resourceVersion": version}
	if len(own) > 0 {
		metadata["annotations"] = own
	}
	patch := map[string]any{"metadata": metadata}
	if len(template) > 0 {
		patch["spec"] = map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": template}}}
	}
	return patch
}

// failsOn says what an error of a request about a workload means.
func (c *Cluster) failsOn(ctx context.Context, err error, verb string, w Workload) error {
	err = c.fails(ctx, err, verb)
	r, ok := err.(*refusal.Error)
	if !ok {
		return err
	}
	told := *r
	switch r.Kind {
	case refusal.Gone, refusal.NoNamespace:
		told.Message = fault.Clean("there is no " + w.String() + " in namespace " + w.Namespace)
	case refusal.Forbidden:
		told.Message = fault.Clean("the cluster does not let us " + verb + " " + w.Kind + "s in namespace " + w.Namespace + "; allow that to our user, as examples/rbac.yaml shows")
	case refusal.Conflict:
		told.Message = "it was changed meanwhile"
	}
	return &told
}
