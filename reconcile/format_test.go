package reconcile

import (
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/restart"
	"secretsync/reconcile/status"
)

// becomesNewer has a copy be as a newer version of us would have written it.
func (w *world) becomesNewer(place string) *corev1.Secret {
	w.t.Helper()
	return w.edit(place, func(s *corev1.Secret) { s.Annotations[copies.AnnotationFormat] = "2" })
}

func TestWhatANewerVersionWroteIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "db")})
	w.live("db", "db")
	stands := w.becomesNewer("production/./db")
	s := w.status("db", fault.ReasonNewerFormat)
	for _, word := range []string{"format 2", "format 1 at most", "newer version", copies.AnnotationFormat + "-", w.namespace + "/db"} {
		if !strings.Contains(s.Message, word) {
			t.Errorf("%q is not in %q", word, s.Message)
		}
	}
	if s.VaultVersion != 0 {
		t.Errorf("what it says of itself is told: version %d", s.VaultVersion)
	}
	same := func(after string) {
		t.Helper()
		now := w.get("production/./db")
		if now == nil || now.UID != stands.UID || !maps.EqualFunc(now.Data, stands.Data, func(a, b []byte) bool { return string(a) == string(b) }) ||
			now.Annotations[copies.AnnotationCommit] != stands.Annotations[copies.AnnotationCommit] {
			t.Fatalf("after %s it is %+v", after, now)
		}
	}
	// Neither a new value, nor a hand at it, nor a restart has it written.
	w.put("db", map[string]any{"a": "2"})
	w.r.SyncNow(w.tenant(), w.parse("db"))
	w.statusWhere("db", "read again", func(s status.Status) bool {
		state := w.r.tenant(w.tenant()).definitions[w.parse("db")].targets[0].origin.source.State()
		return state.Version.Number == 2 && !state.Asked && s.Targets[0].Reason == fault.ReasonNewerFormat
	})
	same("a new value")
	stands = w.edit("production/./db", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	w.restart(func() error { return nil })
	w.status("db", fault.ReasonNewerFormat)
	same("a restart")

	// It is no orphan, and is not deleted though all that it says would have it go.
	w.remove("db")
	w.stay("db")
	if orphans := w.orphans(); len(orphans) != 0 {
		t.Errorf("orphans: %+v", orphans)
	}
	same("its definition went")

	// Without the annotation it is ours again.
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "db")})
	w.status("db", fault.ReasonNewerFormat)
	w.edit("production/./db", func(s *corev1.Secret) { delete(s.Annotations, copies.AnnotationFormat) })
	w.holds("production/./db", map[string]string{"a": "2"})
	w.synced("db")
}

// A Secret without our labels is looked at one by one, whatever its format.
func TestASecretOfANewerFormatThatNobodyWatchesIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "db", Annotations: map[string]string{copies.AnnotationFormat: "2", copies.AnnotationAdopt: w.name + "/db"}}})
	w.push(map[string]*string{fileOf("db"): w.yaml("db", "", "db")})
	w.status("db", fault.ReasonNewerFormat)
	w.edit("production/./db", func(s *corev1.Secret) { delete(s.Annotations, copies.AnnotationFormat) })
	w.holds("production/./db", map[string]string{"a": "1"})
	w.synced("db")
}

func TestAWorkloadThatANewerVersionMarkedIsNotRestarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("web")
	w.put("db", map[string]any{"a": "1"})
	w.restarting("db", "deployment/web", "")
	w.current("db", time.Time{})
	d := w.deployment("web")
	d.Annotations[copies.AnnotationFormat] = "2"
	d.Annotations[restart.Annotation("db")] = "of another kind"
	_, err := w.stack.Cluster("production").Admin.AppsV1().Deployments(w.namespace).Update(w.ctx, d, metav1.UpdateOptions{})
	w.must(err)

	w.put("db", map[string]any{"a": "2"})
	w.holds("production/./db", map[string]string{"a": "2"})
	s := w.statusWhere("db", "a restart that is refused", func(s status.Status) bool {
		r := s.Targets[0].Restarts
		return s.Phase == status.Active && len(r) == 1 && r[0].State == restart.Failed
	})
	if message := s.Targets[0].Restarts[0].Message; !strings.Contains(message, "format 2") {
		t.Errorf("the status says %q", message)
	}
	if now := w.deployment("web"); len(now.Spec.Template.Annotations) != 0 || now.Annotations[restart.Annotation("db")] != "of another kind" {
		t.Errorf("it bears %v, its template %v", now.Annotations, now.Spec.Template.Annotations)
	}
}
