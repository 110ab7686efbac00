package kube

import (
	"context"
	"encoding/json"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"secretsync/reconcile/fault"
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
	var m metav1.PartialObjectMetadata
	if err := k.do(ctx, "get", k.workload(k.rest.Get(), w), &m); err != nil {
		return nil, c.failsOn(ctx, err, "get", w)
	}
	if f := parseFormat(m.Annotations); f.Newer() {
		return nil, f.unknown()
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
		return &Refused{Refusal: Invalid, Message: "the annotations can't be encoded"}
	}
	r := k.workload(k.rest.Patch(types.MergePatchType), w).
		VersionedParams(&metav1.PatchOptions{FieldManager: FieldManager}, parameterCodec).Body(body)
	if err := k.do(ctx, "patch", r, nil); err != nil {
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

// workload addresses a request. Of the answer only the metadata are wanted.
func (k *client) workload(r *rest.Request, w Workload) *rest.Request {
	return r.AbsPath("/apis/apps/v1/namespaces", w.Namespace, w.Kind+"s", w.Name).SetHeader("Accept", metadataOnly)
}

// failsOn says what an error of a request about a workload means.
func (c *Cluster) failsOn(ctx context.Context, err error, verb string, w Workload) error {
	err = c.fails(ctx, err, verb)
	r, ok := err.(*Refused)
	if !ok {
		return err
	}
	told := *r
	switch r.Refusal {
	case Gone, NoNamespace:
		told.Message = fault.Clean("there is no " + w.String() + " in namespace " + w.Namespace)
	case Forbidden:
		told.Message = fault.Clean("the cluster does not let us " + verb + " " + w.Kind + "s in namespace " + w.Namespace + "; allow that to our user, as examples/rbac.yaml shows")
	case Conflict:
		told.Message = "it was changed meanwhile"
	}
	return &told
}
