package kube

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/refusal"
)

// Whoever decides what and why: a Secret that a newer version wrote is not changed.
func TestNoRequestChangesASecretOfANewerFormat(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	w.create(w.desired("db", 1, "a=1"))
	if s := w.get("db"); s.Annotations[copies.AnnotationFormat] != "" {
		t.Errorf("the first format is written down: %v", s.Annotations)
	}
	w.edit("db", func(s *corev1.Secret) {
		s.Annotations[copies.AnnotationFormat] = "2"
		s.Annotations[copies.AnnotationDeletionPolicy] = "Delete"
	})
	seen := w.seen("db", "of a newer format", func(s mirror.Seen) bool { return s.Copy != nil && s.Copy.Format.Newer() })
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
		if err := change(); refusal.KindOf(err) != refusal.Newer {
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
		ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{copies.AnnotationFormat: "2"}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}}},
			},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	if marks, err := w.c.Workload(w.ctx, Workload{"deployment", w.namespace, "web"}); refusal.KindOf(err) != refusal.Newer {
		t.Errorf("%+v, %v", marks, err)
	}
}
