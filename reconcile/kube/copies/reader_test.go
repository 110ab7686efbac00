package copies

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

var (
	place  = Key{"payments", "db"}
	owner  = Owner{Tenant: "acme", Name: "db"}
	wanted = Desired{Key: place, Owner: owner, Stamp: Stamp{Path: "production/db", Version: 1, Created: "2026-01-02T03:04:05Z"}, Data: map[string][]byte{"a": []byte("1")}}
)

// stamped is the Secret that a write makes.
func stamped(v Reader, d Desired) *corev1.Secret {
	s := v.Sends(nil, d).Secret(maps.Clone(d.Data))
	s.UID, s.ResourceVersion = "uid", "1"
	return s
}

func TestARecordHoldsNoData(t *testing.T) {
	v := Reader{NewHasher([]byte("a key of the tests, not a secret")), "an identity"}
	s := stamped(v, wanted)
	r := v.Read(s)
	if !r.Intact || !r.Watched || !r.Labelled {
		t.Errorf("%+v", r)
	}
	copied := func(change func(*corev1.Secret)) *Copy {
		s := s.DeepCopy()
		change(s)
		if s.Labels == nil {
			return v.Read(s, owner, Owner{"acme", "other"})
		}
		return v.Read(s)
	}
	for name, r := range map[string]*Copy{
		"copied to another namespace":  copied(func(s *corev1.Secret) { s.Namespace = "other" }),
		"copied to another name":       copied(func(s *corev1.Secret) { s.Name = "other" }),
		"given to another tenant":      copied(func(s *corev1.Secret) { s.Labels[LabelTenant] = "other" }),
		"given to another definition":  copied(func(s *corev1.Secret) { s.Labels[LabelName] = "other" }),
		"with other data":              copied(func(s *corev1.Secret) { s.Data["a"] = []byte("2") }),
		"with one key more":            copied(func(s *corev1.Secret) { s.Data["b"] = nil }),
		"without its hash":             copied(func(s *corev1.Secret) { delete(s.Annotations, AnnotationHash) }),
		"without labels, and edited":   copied(func(s *corev1.Secret) { s.Labels = nil; s.Data["a"] = nil }),
		"without labels, and a stolen": copied(func(s *corev1.Secret) { s.Labels = nil; s.Name = "other" }),
	} {
		if r.Intact {
			t.Errorf("%s: the hash holds", name)
		}
	}
	if r := copied(func(s *corev1.Secret) { s.Labels = nil }); !r.Intact || r.Owner != owner || r.Watched {
		t.Errorf("one that lost its labels: %+v", r)
	}
	relabelled := s.DeepCopy()
	relabelled.Labels[LabelTenant] = "other"
	if r := v.Read(relabelled, owner); !r.Intact || r.Owner != owner || r.Labelled || !r.Watched {
		t.Errorf("one that bears another's label, and our hash: %v", r)
	}
	v.Cluster = "another cluster"
	if v.Read(s).Intact {
		t.Error("copied to another cluster: the hash holds")
	}
	if strings.Contains(fmt.Sprint(wanted), "[") || strings.Contains(fmt.Sprintf("%v", wanted), "map") {
		t.Errorf("%v", wanted)
	}
}

func TestAlterationInWords(t *testing.T) {
	a := &Alteration{Labels: []string{"x/y"}, Annotations: []string{"z"}, Changed: []string{"a", "b"}, Removed: []string{"c"}, Added: 2, Type: true}
	if said := a.String(); said != "changes the data keys a, b, removes the data keys c, adds data keys, changes the labels x/y, changes the annotations z, changes the type" {
		t.Error(said)
	}
	if said := new(Alteration).String(); said == "" {
		t.Error("it says nothing")
	}
}
