package kube

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/reconcile/kube/share"
)

// Join makes a definition's share of a Secret what it should be, only if the Secret
// still is old (nil: none stands there, and one is created). d.Part says that it is
// one, and its data, labels and annotations are those that the definition may have;
// nothing else on the Secret is touched. What returns is the share.
//
// Where old is the copy that the definition had as a whole, it becomes a shared Secret
// with nothing on it but the share and what others added.
func (c *Cluster) Join(ctx context.Context, old *Copy, d Desired) (*Copy, error) {
	k, err := c.ready()
	if err != nil {
		return nil, err
	}
	switch {
	case old == nil:
	case old.Format.Newer():
		return nil, old.Format.unknown()
	case old.shared == nil && old.Owner != d.Owner:
		return nil, &Refused{Refusal: Conflict, Message: "the Secret is another definition's as a whole"}
	}
	s := c.sendsPart(old, d)
	f := c.takeOff(d.Key, s)
	got, err := k.join(ctx, old, s, d, false)
	if err != nil {
		c.land(d.Key, f, kindOf(err) != Unavailable)
		verb := "patch"
		if old == nil {
			verb = "create"
		}
		return nil, c.fails(ctx, err, verb)
	}
	r := c.observe(got)
	r.Manager = nil
	if r.shared == nil {
		r.shared = &sharing{parts: make(map[Owner]*Copy)} // admission made it somebody's copy
	}
	p := r.shared.parts[d.Owner]
	if p == nil { // admission took the record away
		own := *r
		p = &own
		p.Owner, p.Part, p.Stamp = d.Owner, true, d.Stamp
		r.shared.parts[d.Owner] = p
	}
	p.Manager, p.Altered = nil, s.altered(got)
	return c.wroteAll(d.Key, f, r).PartOf(d.Owner), nil
}

// join makes the request of a Join, or that without its effect. It wants the whole
// answer, since what else stands on the Secret concerns us too.
func (k *client) join(ctx context.Context, old *Copy, s *sent, d Desired, dry bool) (*corev1.Secret, error) {
	var got corev1.Secret
	var only []string
	if dry {
		only = []string{metav1.DryRunAll}
	}
	if old == nil {
		return &got, k.do(ctx, "create", k.rest.Post().Namespace(d.Namespace).Resource("secrets").
			VersionedParams(&metav1.CreateOptions{FieldManager: FieldManager, DryRun: only}, parameterCodec).Body(s.secret(d.Data)), &got)
	}
	body, err := json.Marshal(joinPatch(old, d, s))
	if err != nil {
		return nil, &Refused{Refusal: Invalid, Message: "the Secret can't be encoded"}
	}
	return &got, k.do(ctx, "patch", k.rest.Patch(types.JSONPatchType).Namespace(d.Namespace).Resource("secrets").Name(d.Key.Name).
		VersionedParams(&metav1.PatchOptions{FieldManager: FieldManager, DryRun: only}, parameterCodec).Body(body), &got)
}

// sendsPart notes what is about to be written for a share, the records of others whose
// entries pass to it included.
func (c *Cluster) sendsPart(old *Copy, d Desired) *sent {
	identity := c.Identity()
	stamp := share.Stamp{
		Tenant: d.Tenant, Commit: d.Commit, Path: d.Path, Version: d.Version, Created: d.Created, Recipe: d.Recipe, Others: d.Others, Deletes: d.Deletes,
		Keys: make(map[string]string, len(d.Data)), Labels: slices.Sorted(maps.Keys(d.Labels)), Annotations: slices.Sorted(maps.Keys(d.Annotations)),
	}
	s := d.sends(Digest{})
	for key, value := range d.Data {
		stamp.Keys[key] = c.hasher.Prove(identity, d.Key, d.Owner, key, value)
	}
	s.labels, s.annotations = beside(d.Labels, map[string]string{LabelTenant: d.Tenant}), beside(d.Annotations, nil)
	s.annotations[share.Annotation(d.Owner.Name)] = stamp.Text()
	if old == nil || old.shared == nil {
		return s
	}
	for o, theirs := range old.shared.stamps {
		left := theirs
		for _, e := range stamp.Entries() {
			if o != d.Owner && left.Lists(e) {
				left = left.Without(e)
			}
		}
		switch name := share.Annotation(o.Name); {
		case left.Empty() && o != d.Owner:
			s.emptied = append(s.emptied, name)
		case len(left.Entries()) < len(theirs.Entries()):
			s.annotations[name] = left.Text()
		}
	}
	return s
}

// joinPatch is what makes a definition's share of an old Secret what it should be.
func joinPatch(old *Copy, d Desired, s *sent) []patchOperation {
	patch := []patchOperation{{"replace", "/metadata/resourceVersion", old.ResourceVersion}}
	h := old.shared
	switch {
	case h == nil || !h.hasData:
		patch = append(patch, patchOperation{"add", "/data", d.Data})
	default:
		for _, key := range slices.Sorted(maps.Keys(d.Data)) {
			patch = append(patch, patchOperation{"add", "/data/" + entryPath.Replace(key), d.Data[key]})
		}
	}
	patch = appendEntries(patch, "/metadata/labels", s.labels, old.hasLabels)
	patch = appendEntries(patch, "/metadata/annotations", s.annotations, old.hasAnnotations)
	if h == nil {
		// It was the definition's as a whole, and bore what such a copy bears.
		labels, annotations := outworn(old, s)
		patch = appendRemovals(patch, "/metadata/labels", append(labels, LabelManagedBy, LabelName))
		return appendRemovals(patch, "/metadata/annotations", append(annotations,
			AnnotationCommit, AnnotationVaultPath, AnnotationVaultVersion, AnnotationVaultCreated, AnnotationHash))
	}
	for _, name := range s.emptied {
		patch = append(patch, patchOperation{Op: "remove", Path: "/metadata/annotations/" + entryPath.Replace(name)})
	}
	if h.named { // with our label beside it, it would say that it is a definition's as a whole
		patch = append(patch, patchOperation{Op: "remove", Path: "/metadata/labels/" + entryPath.Replace(LabelName)})
	}
	kept := func(e share.Entry) bool {
		switch e.Kind {
		case share.Data:
			_, ok := d.Data[e.Name]
			return ok
		case share.Label:
			_, ok := d.Labels[e.Name]
			return ok
		default:
			_, ok := d.Annotations[e.Name]
			return ok
		}
	}
	return append(patch, h.removals(d.Owner, kept)...)
}

// removals take the entries of a share away that are not kept: keys that hold what we
// wrote, and labels and annotations that nobody else has declared.
func (h *sharing) removals(o Owner, kept func(share.Entry) bool) (patch []patchOperation) {
	stamp, ok := h.stamps[o]
	if !ok {
		return nil
	}
	for _, e := range stamp.Entries() {
		held, there := h.entries[e]
		if !there || kept(e) || held.by != o || held.manager.Applied && held.manager.Name != FieldManager || e.Kind == share.Data && !held.proven {
			continue
		}
		path := [...]string{"/data/", "/metadata/labels/", "/metadata/annotations/"}[e.Kind]
		patch = append(patch, patchOperation{Op: "remove", Path: path + entryPath.Replace(e.Name)})
	}
	return patch
}

// Leave takes a share off its Secret, only if that still is as it was seen: the keys
// that hold what we wrote, and the record. A Secret on which then nothing is left, and
// to which nobody but us ever wrote, goes.
func (c *Cluster) Leave(ctx context.Context, at Key, part *Copy) error {
	k, err := c.ready()
	if err != nil {
		return err
	}
	if part.Format.Newer() {
		return part.Format.unknown()
	}
	h := part.shared
	body := h.removals(part.Owner, func(share.Entry) bool { return false })
	left := len(h.entries) - len(body)
	if left == 0 && len(h.parts) == 1 && !h.others && !part.Owned && len(part.Finalizers) == 0 {
		return c.Delete(ctx, at, part)
	}
	patch := append([]patchOperation{{"replace", "/metadata/resourceVersion", part.ResourceVersion}}, body...)
	patch = append(patch, patchOperation{Op: "remove", Path: "/metadata/annotations/" + entryPath.Replace(share.Annotation(part.Owner.Name))})
	if len(h.parts) == 1 && part.Labelled {
		patch = append(patch, patchOperation{Op: "remove", Path: "/metadata/labels/" + entryPath.Replace(LabelTenant)})
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return &Refused{Refusal: Invalid, Message: "the change can't be encoded"}
	}
	if _, err := k.patch(ctx, at, text); err != nil {
		return c.fails(ctx, err, "patch")
	}
	return nil // the watch tells how it stands now
}
