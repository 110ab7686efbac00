package kube

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhichFormatsAreNewer(t *testing.T) {
	for name, c := range map[string]struct {
		annotations map[string]string
		format      Format
		newer       bool
	}{
		"no annotations at all":   {nil, 1, false},
		"none that says":          {map[string]string{AnnotationHash: "…"}, 1, false},
		"the first":               {map[string]string{AnnotationFormat: "1"}, 1, false},
		"the next":                {map[string]string{AnnotationFormat: "2"}, 2, true},
		"one of long after us":    {map[string]string{AnnotationFormat: "70000"}, unreadable, true},
		"no number":               {map[string]string{AnnotationFormat: "2.1"}, unreadable, true},
		"nothing written down":    {map[string]string{AnnotationFormat: ""}, unreadable, true},
		"a number that is no one": {map[string]string{AnnotationFormat: "0"}, unreadable, true},
	} {
		t.Run(name, func(t *testing.T) {
			if f := parseFormat(c.annotations); f != c.format || f.Newer() != c.newer {
				t.Errorf("%s, newer %v", f, f.Newer())
			}
		})
	}
}

// Whoever decides what and why: a Secret that a newer version wrote is not changed.
func TestNoRequestChangesASecretOfANewerFormat(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	w.create(w.desired("db", 1, "a=1"))
	if s := w.get("db"); s.Annotations[AnnotationFormat] != "" {
		t.Errorf("the first format is written down: %v", s.Annotations)
	}
	w.edit("db", func(s *corev1.Secret) {
		s.Annotations[AnnotationFormat] = "2"
		s.Annotations[AnnotationDeletionPolicy] = deletes
	})
	seen := w.seen("db", "of a newer format", func(s Seen) bool { return s.Copy != nil && s.Copy.Format.Newer() })
	if seen.Copy.Deletes || seen.Copy.Right(owner, w.desired("db", 1).Stamp, "", 0) {
		t.Errorf("what it says of itself is believed: %s", seen.Copy)
	}
	before := w.writesTo("db")
	other := w.desired("db", 2, "a=2")
	for what, change := range map[string]func() error{
		"update":  func() error { _, err := w.c.Update(w.ctx, seen.Copy, other); return err },
		"replace": func() error { _, err := w.c.Replace(w.ctx, seen.Copy, other); return err },
		"delete":  func() error { return w.c.Delete(w.ctx, w.at("db"), seen.Copy) },
	} {
		if err := change(); RefusalOf(err) != Newer {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := w.writesTo("db"); after["patch"] != before["patch"] || after["delete"] != 0 {
		t.Errorf("requests were made: %v, before %v", after, before)
	}
}

func TestAWorkloadWithMarksOfANewerFormatIsNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	labels := map[string]string{"app": "web"}
	_, err := w.real.Admin.AppsV1().Deployments(w.namespace).Create(w.ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{AnnotationFormat: "2"}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}}},
			},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	if marks, err := w.c.Workload(w.ctx, Workload{"deployment", w.namespace, "web"}); RefusalOf(err) != Newer {
		t.Errorf("%+v, %v", marks, err)
	}
}
