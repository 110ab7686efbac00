package client

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/refusal"
)

// Secret reads a Secret as it is now.
func (k *Client) Secret(ctx context.Context, at copies.Key) (*corev1.Secret, error) {
	var s corev1.Secret
	err := k.do(ctx, "get", k.rest.Get().Namespace(at.Namespace).Resource("secrets").Name(at.Name), &s)
	return &s, err
}

// Create makes a Secret, or with dry only tries to. Of the answer there are the metadata.
func (k *Client) Create(ctx context.Context, s *corev1.Secret, dry bool) (*metav1.PartialObjectMetadata, error) {
	options := &metav1.CreateOptions{FieldManager: copies.FieldManager}
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var m metav1.PartialObjectMetadata
	err := k.do(ctx, "create", k.rest.Post().Namespace(s.Namespace).Resource("secrets").SetHeader("Accept", metadataOnly).
		VersionedParams(options, parameterCodec).Body(s), &m)
	return &m, err
}

// SecretSince reads a Secret as it was at a resource version, or later: that a
// server answers from memory, where it asks etcd for what is newest. One that is
// behind is asked for the newest after all.
func (k *Client) SecretSince(ctx context.Context, at copies.Key, rv string) (*corev1.Secret, error) {
	if rv == "" {
		return k.Secret(ctx, at)
	}
	var s corev1.Secret
	err := k.do(ctx, "get", k.rest.Get().Namespace(at.Namespace).Resource("secrets").Name(at.Name).
		VersionedParams(&metav1.GetOptions{ResourceVersion: rv}, parameterCodec), &s)
	if apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) {
		return k.Secret(ctx, at)
	}
	return &s, err
}

// Patch changes a Secret by a JSON patch that is for it at version rv.
func (k *Client) Patch(ctx context.Context, at copies.Key, rv string, patch []byte) (*metav1.PartialObjectMetadata, error) {
	var m metav1.PartialObjectMetadata
	err := k.do(ctx, "patch", k.rest.Patch(types.JSONPatchType).Namespace(at.Namespace).Resource("secrets").Name(at.Name).SetHeader("Accept", metadataOnly).
		VersionedParams(&metav1.PatchOptions{FieldManager: copies.FieldManager}, parameterCodec).Body(patch), &m)
	return &m, k.raced(ctx, at, rv, err)
}

// raced makes a Conflict of the refusal of a JSON patch that was for another version than
// stands there. The server applies a patch before it looks at the version that the patch
// is for: where somebody took away what it names, the answer is that of a patch that is
// wrong in itself.
func (k *Client) raced(ctx context.Context, at copies.Key, rv string, err error) error {
	if !apierrors.IsInvalid(err) || refusal.StatusOf(err).Details != nil && refusal.StatusOf(err).Details.Name != "" {
		return err // an object that is invalid is named
	}
	var m metav1.PartialObjectMetadata
	read := k.do(ctx, "get", k.rest.Get().Namespace(at.Namespace).Resource("secrets").Name(at.Name).SetHeader("Accept", metadataOnly), &m)
	switch {
	case refusal.KindOf(read) == refusal.Gone:
		return read
	case read == nil && m.ResourceVersion != rv:
		return &refusal.Error{Kind: refusal.Conflict, Message: "the Secret was changed meanwhile"}
	}
	return err
}

// Delete removes exactly the Secret that was seen, in the state it was seen in.
// kept says that finalizers keep it.
func (k *Client) Delete(ctx context.Context, at copies.Key, uid types.UID, rv string) (kept bool, err error) {
	r := k.rest.Delete().Namespace(at.Namespace).Resource("secrets").Name(at.Name).SetHeader("Accept", metadataOnly).
		Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &rv}})
	if err := k.limiter.Wait(ctx); err != nil {
		return false, err
	}
	err = k.timed(ctx, "delete", k.limits().Request, func(ctx context.Context) error {
		answer, err := r.MaxRetries(0).Do(ctx).Get()
		// A Secret that is gone is answered by a Status.
		if m, ok := answer.(metav1.Object); ok && err == nil {
			kept = m.GetDeletionTimestamp() != nil && len(m.GetFinalizers()) > 0
		}
		return err
	})
	return kept, err
}

// Whole makes the request of a write, or with dry that without its effect. Unlike other
// writes it wants the whole answer.
func (k *Client) Whole(ctx context.Context, old *copies.Copy, s *copies.Sent, data map[string][]byte, dry ...string) (*corev1.Secret, error) {
	var got corev1.Secret
	if old == nil {
		return &got, k.do(ctx, "create", k.rest.Post().Namespace(s.Namespace).Resource("secrets").
			VersionedParams(&metav1.CreateOptions{FieldManager: copies.FieldManager, DryRun: dry}, parameterCodec).Body(s.Secret(data)), &got)
	}
	body, err := s.Patch(old, data)
	if err != nil {
		return nil, err
	}
	err = k.do(ctx, "patch", k.rest.Patch(types.JSONPatchType).Namespace(s.Namespace).Resource("secrets").Name(s.Key.Name).
		VersionedParams(&metav1.PatchOptions{FieldManager: copies.FieldManager, DryRun: dry}, parameterCodec).Body(body), &got)
	return &got, k.raced(ctx, s.Key, old.ResourceVersion, err)
}
