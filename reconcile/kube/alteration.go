package kube

import (
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Alteration is how a Secret that admission let pass differs from what was
// sent. It names no text that admission chose.
type Alteration struct {
	Labels      []string // of ours and of Desired's, changed or removed
	Annotations []string // the same
	Changed     []string // keys of the data whose values were changed
	Removed     []string // keys of the data that were removed
	Added       int      // number of data keys that were added
	Type        bool     // it is of another type
}

// String says it in words, for a message.
func (a *Alteration) String() string {
	var parts []string
	list := func(what string, names []string) {
		if len(names) > 0 {
			parts = append(parts, what+" "+strings.Join(names, ", "))
		}
	}
	list("changes the data keys", a.Changed)
	list("removes the data keys", a.Removed)
	switch {
	case a.Added == 1:
		parts = append(parts, "adds a data key")
	case a.Added > 1:
		parts = append(parts, "adds data keys")
	}
	list("changes the labels", a.Labels)
	list("changes the annotations", a.Annotations)
	if a.Type {
		parts = append(parts, "changes the type")
	}
	if len(parts) == 0 {
		return "changes it" // what exactly is not known
	}
	return strings.Join(parts, ", ")
}

func (a Alteration) orNil() *Alteration {
	if len(a.Labels)+len(a.Annotations)+len(a.Changed)+len(a.Removed)+a.Added == 0 && !a.Type {
		return nil
	}
	return &a
}

// sent is what a write put into a place, kept until the server has told what
// became of it: never the data.
type sent struct {
	d           Desired // without its data
	labels      map[string]string
	annotations map[string]string
	values      map[string]uint64 // a hash of each value by its key
	emptied     []string          // records of others on which nothing is left
}

var seed = maphash.MakeSeed()

// sends notes what is about to be written.
func (d Desired) sends(hash Digest) *sent {
	s := &sent{d: d, labels: d.labels(), annotations: d.annotations(hash), values: make(map[string]uint64, len(d.Data))}
	for key, value := range d.Data {
		s.values[key] = maphash.Bytes(seed, value)
	}
	s.d.Data = nil
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
func (s *sent) alteredMeta(m *metav1.ObjectMeta) (a Alteration) {
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

// altered tells what became of all that was sent; nil if it stands as it was sent.
func (s *sent) altered(got *corev1.Secret) *Alteration {
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
	if s.d.Part {
		return a.orNil() // what else stands there is others'
	}
	for key := range got.Data {
		if _, ok := s.values[key]; !ok {
			a.Added++
		}
	}
	a.Type = string(got.Type) != s.d.kind()
	return a.orNil()
}
