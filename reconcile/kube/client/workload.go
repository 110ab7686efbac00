package client

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"secretsync/reconcile/kube/copies"
)

// Workload reads the metadata of what runs pods: a deployment, statefulset or daemonset.
func (k *Client) Workload(ctx context.Context, kind, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	var m metav1.PartialObjectMetadata
	err := k.do(ctx, "get", workload(k.rest.Get(), kind, namespace, name), &m)
	return &m, err
}

// PatchWorkload changes one by a merge patch.
func (k *Client) PatchWorkload(ctx context.Context, kind, namespace, name string, patch []byte) error {
	return k.do(ctx, "patch", workload(k.rest.Patch(types.MergePatchType), kind, namespace, name).
		VersionedParams(&metav1.PatchOptions{FieldManager: copies.FieldManager}, parameterCodec).Body(patch), nil)
}

// workload addresses a request. Of the answer only the metadata are wanted.
func workload(r *rest.Request, kind, namespace, name string) *rest.Request {
	return r.AbsPath("/apis/apps/v1/namespaces", namespace, kind+"s", name).SetHeader("Accept", metadataOnly)
}

// CreateEvent writes an event, and returns it as it stands then.
func (k *Client) CreateEvent(ctx context.Context, event *corev1.Event) (*corev1.Event, error) {
	var written corev1.Event
	err := k.do(ctx, "event", k.rest.Post().Namespace(event.Namespace).Resource("events").Body(event), &written)
	return &written, err
}

// PatchEvent changes one that stands, by a strategic merge patch.
func (k *Client) PatchEvent(ctx context.Context, namespace, name string, patch []byte) (*corev1.Event, error) {
	var written corev1.Event
	err := k.do(ctx, "event", k.rest.Patch(types.StrategicMergePatchType).Namespace(namespace).Resource("events").Name(name).Body(patch), &written)
	return &written, err
}
