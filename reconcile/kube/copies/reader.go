package copies

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/share"
)

// Newer reports whether resource version a comes after b. One that is not
// understood counts as newer, so that it is taken in.
func Newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}

// Reader makes records of the Secrets of one cluster, and of what is about to be
// written to it.
type Reader struct {
	Hasher *Hasher
	// Cluster is its identity, which every hash covers.
	Cluster string
}

// Read makes of a Secret what is kept of it. claims are those whose copy it may be
// though its labels don't say so.
func (v Reader) Read(s *corev1.Secret, claims ...Owner) *Copy {
	key := Key{s.Namespace, s.Name}
	r := described(&s.ObjectMeta)
	r.Type = Intern(string(s.Type))
	r.Immutable = s.Immutable != nil && *s.Immutable
	hash := s.Annotations[AnnotationHash]
	// Its labels may be somebody else's, by whose hand ever: the hash decides.
	labels := r.Owner
	owners := append([]Owner{labels}, claims...)
	if name := s.Labels[LabelName]; !r.Watched && name != "" {
		// It may be what another definition of theirs left behind.
		for _, o := range claims {
			owners = append(owners, Owner{o.Tenant, name})
		}
	}
	for i, o := range owners {
		if digest := v.Hasher.Sum(v.Cluster, key, o, s.Data); i == 0 || hash == digest.String() {
			r.Owner, r.Digest = o, digest
		}
		if r.Intact = hash != "" && hash == r.Digest.String(); r.Intact {
			break
		}
	}
	r.Labelled = r.Labelled && r.Owner == labels
	if !r.Intact && share.Recorded(s.Annotations) {
		// Somebody set the label on a Secret that is shared: it says nothing of the rest.
		r.Name, r.Labelled = "", false
	}
	if r.Name == "" { // no definition's as a whole
		r.shared = v.sharedOf(s, r)
	}
	return r
}

// described fills in what a Secret's metadata say.
func described(m *metav1.ObjectMeta) *Copy {
	r := &Copy{
		Stamp: Stamp{
			Path: m.Annotations[AnnotationVaultPath], Created: m.Annotations[AnnotationVaultCreated],
			Recipe: Intern(m.Annotations[AnnotationRecipe]), Others: m.Annotations[AnnotationOthers],
		},
		Deletes:         m.Annotations[AnnotationDeletionPolicy] == deletes,
		Commit:          Intern(m.Annotations[AnnotationCommit]),
		UID:             string(m.UID),
		ResourceVersion: m.ResourceVersion,
		Owned:           len(m.OwnerReferences) > 0,
		Deleting:        m.DeletionTimestamp != nil,
		Finalizers:      m.Finalizers,
		Adopt:           m.Annotations[AnnotationAdopt],
		hasLabels:       m.Labels != nil,
		hasAnnotations:  m.Annotations != nil,
	}
	if r.Format = ParseFormat(m.Annotations); r.Format.Newer() {
		r.Deletes = false
	}
	r.wears(m)
	r.Manager, r.ours = lastChange(m.ManagedFields)
	// A version that is no number is not the right one: 0 stands for that.
	r.Version, _ = strconv.Atoi(m.Annotations[AnnotationVaultVersion])
	tenant, watched := m.Labels[LabelTenant]
	if r.Watched = watched; watched {
		r.Owner = Owner{Tenant: Intern(tenant), Name: m.Labels[LabelName]}
		if r.Name == m.Name {
			r.Name = m.Name // one string in memory
		}
		r.Labelled = m.Labels[LabelManagedBy] == ManagedBy && r.Tenant != "" && r.Name != ""
	}
	return r
}

// lastChange tells from the managed fields who made the last change of what is
// ours, and when we made one last. Where two made one within the same second it
// is the other, not us. last is nil if it was us or nobody can tell: whoever only
// removes something leaves no trace.
func lastChange(fields []metav1.ManagedFieldsEntry) (last *Manager, ours int64) {
	var newest *metav1.ManagedFieldsEntry
	for i := range fields {
		e := &fields[i]
		if e.Time == nil || e.FieldsV1 == nil || e.Subresource != "" || !touches(e.FieldsV1) {
			continue
		}
		if e.Manager == FieldManager {
			ours = max(ours, e.Time.Unix())
		}
		if newest == nil || e.Time.After(newest.Time.Time) || e.Time.Equal(newest.Time) && newest.Manager == FieldManager {
			newest = e
		}
	}
	if newest == nil || newest.Manager == FieldManager {
		return nil, ours
	}
	return &Manager{Name: fault.Clean(newest.Manager), Time: newest.Time.Time}, ours
}

// touches reports whether a field set holds any field of ours.
func touches(fields *metav1.FieldsV1) bool {
	raw := fields.GetRawBytes()
	for _, ours := range ourFields {
		if bytes.Contains(raw, ours) {
			return true
		}
	}
	return false
}

var ourFields = [][]byte{[]byte(`"f:data"`), []byte(`"f:secretsync.dev/`), []byte(`"f:` + LabelManagedBy + `"`), []byte(`"f:type"`), []byte(`"f:immutable"`)}

// Same reports whether two states of a Secret differ in nothing that anybody
// here has to act on.
func (c *Copy) Same(o *Copy) bool { return c.alike(o) && c.shared.same(o.shared) }

// alike is Same for one that nobody shares, and for a share.
func (c *Copy) alike(o *Copy) bool {
	return c.Owner == o.Owner && c.Stamp == o.Stamp && c.Commit == o.Commit && c.Digest == o.Digest && c.Intact == o.Intact &&
		c.Watched == o.Watched && c.Labelled == o.Labelled && c.Worn == o.Worn && c.Applied == o.Applied && c.Deletes == o.Deletes && c.Format == o.Format && c.UID == o.UID && c.Type == o.Type && c.Immutable == o.Immutable &&
		c.Owned == o.Owned && c.Deleting == o.Deleting && c.Unconfirmed == o.Unconfirmed && c.Adopt == o.Adopt && slices.Equal(c.Finalizers, o.Finalizers) &&
		reflect.DeepEqual(c.Altered, o.Altered)
}

// Reuse takes the strings that are equal to those of a write, or of an older
// state, from there, so that they are in memory once.
func (c *Copy) Reuse(o Owner, s Stamp) {
	if c.Owner == o {
		c.Owner = o
	}
	if c.Stamp == s {
		c.Stamp = s
	}
}
