package copies

import (
	"hash/maphash"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/kube/share"
)

// Sent is what a write puts into a place. It is kept until the server has told what
// became of it, and holds the data never.
type Sent struct {
	Desired            // without its data
	digest      Digest // zero for a share
	labels      map[string]string
	annotations map[string]string
	values      map[string]uint64 // a hash of each value by its key
	stamp       share.Stamp       // of a share: the record of it
	emptied     []string          // records of others on which nothing is left
}

var seed = maphash.MakeSeed()

// Sends notes what is about to be written over old, or with nil where no Secret is to
// stand: the copy as a whole or, of a share, its entries and the records of others from
// which some pass to it. The type of a Secret that stands can't be changed.
func (v Reader) Sends(old *Copy, d Desired) *Sent {
	if d.Part {
		return v.sendsPart(old, d)
	}
	if old != nil {
		d.Type = old.Type
	}
	return d.sends(v.Hasher.Sum(v.Cluster, d.Key, d.Owner, d.Data))
}

func (d Desired) sends(hash Digest) *Sent {
	s := &Sent{Desired: d, digest: hash, labels: d.labels(), annotations: d.annotations(hash), values: make(map[string]uint64, len(d.Data))}
	for key, value := range d.Data {
		s.values[key] = maphash.Bytes(seed, value)
	}
	s.Data = nil
	return s
}

func (d Desired) labels() map[string]string {
	all := maps.Clone(d.Labels)
	if all == nil {
		all = make(map[string]string, 3)
	}
	all[LabelManagedBy], all[LabelTenant], all[LabelName] = ManagedBy, d.Tenant, d.Owner.Name
	return all
}

func (d Desired) annotations(hash Digest) map[string]string {
	all := maps.Clone(d.Annotations)
	if all == nil {
		all = make(map[string]string, 5)
	}
	all[AnnotationCommit] = d.Commit
	all[AnnotationVaultPath] = d.Path
	all[AnnotationVaultVersion] = strconv.Itoa(d.Version)
	all[AnnotationVaultCreated] = d.Created
	all[AnnotationHash] = hash.String()
	optional := func(name, text string) {
		if text != "" {
			all[name] = text
		}
	}
	optional(AnnotationRecipe, d.Recipe)
	optional(AnnotationOthers, d.Others)
	optional(AnnotationApplied, appliedOf(d.Labels, d.Annotations).text())
	if d.Deletes {
		optional(AnnotationDeletionPolicy, deletes)
	}
	return all
}

// alteredMeta tells what became of the labels and annotations that were sent.
func (s *Sent) alteredMeta(m *metav1.ObjectMeta) (a Alteration) {
	differ := func(sent, got map[string]string) (names []string) {
		for name, text := range sent {
			if there, ok := got[name]; !ok || there != text {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	a.Labels, a.Annotations = differ(s.labels, m.Labels), differ(s.annotations, m.Annotations)
	return a
}

// AlteredBy tells what became of all that was sent; nil if it stands as it was sent.
func (s *Sent) AlteredBy(got *corev1.Secret) *Alteration {
	a := s.alteredMeta(&got.ObjectMeta)
	for key, hash := range s.values {
		switch value, ok := got.Data[key]; {
		case !ok:
			a.Removed = append(a.Removed, key)
		case maphash.Bytes(seed, value) != hash:
			a.Changed = append(a.Changed, key)
		}
	}
	slices.Sort(a.Removed)
	slices.Sort(a.Changed)
	if s.Part {
		return a.orNil() // what else stands there is others'
	}
	for key := range got.Data {
		if _, ok := s.values[key]; !ok {
			a.Added++
		}
	}
	a.Type = string(got.Type) != s.kind()
	return a.orNil()
}

// Secret is what is sent to create a copy, or a Secret with a share.
func (s *Sent) Secret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Key.Name, Labels: s.labels, Annotations: s.annotations},
		Type:       corev1.SecretType(s.kind()),
		Data:       data,
	}
}

func beside(theirs, ours map[string]string) map[string]string {
	both := make(map[string]string, len(theirs)+len(ours))
	maps.Copy(both, theirs)
	maps.Copy(both, ours)
	return both
}

// sendsPart notes what is about to be written for a share, the records of others whose
// entries pass to it included.
func (v Reader) sendsPart(old *Copy, d Desired) *Sent {
	stamp := share.Stamp{
		Tenant: d.Tenant, Commit: d.Commit, Path: d.Path, Version: d.Version, Created: d.Created, Recipe: d.Recipe, Others: d.Others, Deletes: d.Deletes,
		Keys: make(map[string]string, len(d.Data)), Labels: slices.Sorted(maps.Keys(d.Labels)), Annotations: slices.Sorted(maps.Keys(d.Annotations)),
	}
	s := d.sends(Digest{})
	for key, value := range d.Data {
		stamp.Keys[key] = v.Hasher.Prove(v.Cluster, d.Key, d.Owner, key, value)
	}
	s.labels, s.annotations = beside(d.Labels, map[string]string{LabelTenant: d.Tenant}), beside(d.Annotations, nil)
	entries := stamp.Entries()
	if old != nil && old.shared != nil {
		stamp.Keys = beside(stamp.Keys, old.shared.proofs(d.Owner, d.Keeps))
	}
	s.annotations[share.Annotation(d.Owner.Name)], s.stamp = stamp.Text(), stamp
	if old == nil || old.shared == nil {
		return s
	}
	for o, left := range old.shared.stamps {
		if o == d.Owner {
			continue
		}
		passed := false
		for _, e := range entries {
			if left.Lists(e) {
				left, passed = left.Without(e), true
			}
		}
		switch name := share.Annotation(o.Name); {
		case left.Empty():
			s.emptied = append(s.emptied, name)
		case passed:
			s.annotations[name] = left.Text()
		}
	}
	return s
}

// proofs are those of some keys that the share of o has: they hold as long as the keys
// stand as they are.
func (h *sharing) proofs(o Owner, keys []string) map[string]string {
	proofs := make(map[string]string, len(keys))
	stamp := h.stamps[o]
	for _, key := range keys {
		if proof, listed := stamp.Keys[key]; listed {
			proofs[key] = proof
		}
	}
	return proofs
}

// Anew is what is sent to create a copy in the place of the old Secret that there is: it
// keeps the labels, annotations and owner references that others wrote on that one.
func (s *Sent) Anew(old *Copy, there *corev1.Secret, data map[string][]byte) *corev1.Secret {
	anew := s.Secret(data)
	labels, annotations := outworn(old, s)
	for _, name := range labels {
		delete(there.Labels, name)
	}
	for _, name := range annotations {
		delete(there.Annotations, name)
	}
	anew.Labels, anew.Annotations, anew.OwnerReferences = beside(there.Labels, s.labels), beside(there.Annotations, s.annotations), there.OwnerReferences
	return anew
}
