package kube

import (
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
)

func TestACopyByDefaultCarriesJustWhatItEverDid(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	w.create(w.desired("db", 1, "a=1"))
	s := w.get("db")
	if got, want := slices.Sorted(maps.Keys(s.Labels)), []string{copies.LabelManagedBy, copies.LabelName, copies.LabelTenant}; !slices.Equal(got, want) {
		t.Errorf("labels %v, not %v", got, want)
	}
	want := []string{copies.AnnotationCommit, copies.AnnotationHash, copies.AnnotationVaultCreated, copies.AnnotationVaultPath, copies.AnnotationVaultVersion}
	if got := slices.Sorted(maps.Keys(s.Annotations)); !slices.Equal(got, want) {
		t.Errorf("annotations %v, not %v", got, want)
	}
}

func TestLabelsAndAnnotationsComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	shaped := func(version int, labels, annotations map[string]string) copies.Desired {
		d := w.desired("db", version, "a=1")
		d.Recipe, d.Others, d.Deletes = "0123", "shared/ca@1@2026-01-02T03:04:05Z", true
		d.Labels, d.Annotations = labels, annotations
		return d
	}
	first := shaped(1, map[string]string{"team": "a", "tier": "db"}, map[string]string{"example.com/note": "x"})
	worn := copies.Wear(first.Labels, first.Annotations)
	r := w.create(first)
	if !r.Right(owner, first.Stamp, "", worn) || !r.Deletes {
		t.Fatalf("%+v", r)
	}

	w.edit("db", func(s *corev1.Secret) {
		s.Labels["team"] = "b"
		s.Labels["theirs"] = "x"
		s.Annotations["theirs"] = "y"
	})
	edited := w.seen("db", "another team", func(s mirror.Seen) bool { return s.Copy.Worn != worn }).Copy
	if edited.Right(owner, first.Stamp, "", worn) || !edited.Intact {
		t.Errorf("an edited label is taken for right: %+v", edited)
	}
	w.edit("db", func(s *corev1.Secret) { delete(s.Labels, "tier") })
	edited = w.seen("db", "no tier", func(s mirror.Seen) bool { return s.Copy.Worn != edited.Worn }).Copy

	// One label goes that stands there, one that somebody took away already.
	second := shaped(2, map[string]string{"color": "red"}, nil)
	r, err := w.c.Update(w.ctx, edited, second)
	w.must(err)
	s := w.get("db")
	if _, there := s.Labels["team"]; there || s.Labels["color"] != "red" || s.Labels["theirs"] != "x" || s.Annotations["theirs"] != "y" || s.Annotations["example.com/note"] != "" {
		t.Errorf("labels %v, annotations %v", s.Labels, s.Annotations)
	}
	if !r.Right(owner, second.Stamp, "", copies.Wear(second.Labels, nil)) {
		t.Errorf("%+v", r)
	}

	// It becomes what it is by default, and nothing of the rest remains.
	third := w.desired("db", 3, "a=1")
	r, err = w.c.Update(w.ctx, r, third)
	w.must(err)
	s = w.get("db")
	if len(s.Labels) != 4 || len(s.Annotations) != 6 || !r.Right(owner, third.Stamp, "", 0) || r.Deletes || r.Applied != "" {
		t.Errorf("labels %v, annotations %v, %+v", s.Labels, s.Annotations, r)
	}

	// The same for one that is made anew.
	r, err = w.c.Update(w.ctx, r, first)
	w.must(err)
	typed := w.desired("db", 4, "a=1")
	typed.Type, typed.Recipe, typed.Labels = "example.com/x", "4567", map[string]string{"tier": "web"}
	r, err = w.c.Replace(w.ctx, r, typed)
	w.must(err)
	s = w.get("db")
	if _, there := s.Labels["team"]; there || s.Labels["tier"] != "web" || s.Labels["theirs"] != "x" || s.Annotations["example.com/note"] != "" || s.Type != "example.com/x" {
		t.Errorf("labels %v, annotations %v, type %s", s.Labels, s.Annotations, s.Type)
	}
	if !r.Right(owner, typed.Stamp, "example.com/x", copies.Wear(typed.Labels, nil)) {
		t.Errorf("%+v", r)
	}
}

func TestAListThatSomebodyForgedTakesNothingOfOursAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	r := w.create(w.desired("db", 1, "a=1"))
	w.edit("db", func(s *corev1.Secret) {
		s.Annotations[copies.AnnotationApplied] = `{"labels":["` + copies.LabelTenant + `"]}`
	})
	r = w.seen("db", "the list", func(s mirror.Seen) bool { return s.Copy.Applied != r.Applied }).Copy
	d := w.desired("db", 2, "a=2")
	if r.Right(owner, d.Stamp, "", 0) {
		t.Error("it is taken for right")
	}
	r, err := w.c.Update(w.ctx, r, d)
	w.must(err)
	if !r.Right(owner, d.Stamp, "", 0) || w.get("db").Annotations[copies.AnnotationApplied] != "" {
		t.Errorf("%+v", r)
	}
}
