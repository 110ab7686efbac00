package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Try finds out, by a dry run, what would come of a Create (old is nil), an
// Update or a Join now: nil says that it would stand as it is sent.
func (c *Cluster) Try(ctx context.Context, old *Copy, d Desired) (*Alteration, error) {
	k, err := c.ready()
	if err != nil {
		return nil, err
	}
	verb := "create"
	if old != nil {
		verb = "patch"
	}
	if d.Part {
		s := c.sendsPart(old, d)
		got, err := k.join(ctx, old, s, d, true)
		if err != nil {
			return nil, c.fails(ctx, err, verb)
		}
		return s.altered(got), nil
	}
	if old != nil {
		d.Type = old.Type
	}
	s := d.sends(c.hasher.Sum(c.Identity(), d.Key, d.Owner, d.Data))
	got, err := k.try(ctx, old, s, d)
	if err != nil {
		return nil, c.fails(ctx, err, verb)
	}
	return s.altered(got), nil
}

// try makes the request of a write without its effect. Unlike a write it wants
// the whole answer.
func (k *client) try(ctx context.Context, old *Copy, s *sent, d Desired) (*corev1.Secret, error) {
	var got corev1.Secret
	dry := []string{metav1.DryRunAll}
	if old == nil {
		return &got, k.do(ctx, "create", k.rest.Post().Namespace(d.Namespace).Resource("secrets").
			VersionedParams(&metav1.CreateOptions{FieldManager: FieldManager, DryRun: dry}, parameterCodec).Body(s.secret(d.Data)), &got)
	}
	body, err := patchOf(old, d, s)
	if err != nil {
		return nil, err
	}
	return &got, k.do(ctx, "patch", k.rest.Patch(types.JSONPatchType).Namespace(d.Namespace).Resource("secrets").Name(d.Key.Name).
		VersionedParams(&metav1.PatchOptions{FieldManager: FieldManager, DryRun: dry}, parameterCodec).Body(body), &got)
}
