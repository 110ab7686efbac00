package reconcile

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/restart"
	"secretsync/reconcile/status"
)

// deploy makes a deployment, which no controller of the test's cluster looks at: what
// is set on its pod template is what a rollout would follow.
func (w *world) deploy(name string) {
	w.t.Helper()
	labels := map[string]string{"app": name}
	_, err := w.stack.Cluster("production").Admin.AppsV1().Deployments(w.namespace).Create(w.ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}}},
			},
		},
	}, metav1.CreateOptions{})
	w.must(err)
}

func (w *world) deployment(name string) *appsv1.Deployment {
	w.t.Helper()
	d, err := w.stack.Cluster("production").Admin.AppsV1().Deployments(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
	w.must(err)
	return d
}

// restarting commits a definition whose copy restarts a workload.
func (w *world) restarting(name, workload, further string) {
	w.t.Helper()
	text := "name: " + name + "\nsecretPath: " + name + "\n" + further + "sync:\n- cluster: production\n  namespace: " + w.namespace + "\n  restart: [" + workload + "]\n"
	w.push(map[string]*string{"secrets/" + name + ".yaml": &text})
}

// current waits until the workload's pods are known to be started with what the
// copy holds.
func (w *world) current(name string, after time.Time) status.Restart {
	w.t.Helper()
	s := w.statusWhere(name, "restarted after "+after.String(), func(s status.Status) bool {
		r := s.Targets[0].Restarts
		return s.Phase == status.Active && len(r) == 1 && r[0].State == restart.Current && !r[0].Restarted.Before(after)
	})
	return s.Targets[0].Restarts[0]
}

func TestAWorkloadIsRestartedOnceForEachChangeOfData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("web")
	w.put("db", map[string]any{"a": "1"})
	w.put("api", map[string]any{"k": "1"})
	w.restarting("db", "deployment/web", "")
	w.restarting("api", "deployment/web", "")
	w.current("db", time.Time{})
	w.current("api", time.Time{})
	first := w.deployment("web")
	if len(first.Spec.Template.Annotations) != 0 || first.Annotations[restart.Annotation("db")] == "" || first.Annotations[restart.Annotation("api")] == "" {
		t.Fatalf("when its copies are first made it bears %v, its template %v", first.Annotations, first.Spec.Template.Annotations)
	}

	began := time.Now()
	w.put("db", map[string]any{"a": "2"})
	w.put("api", map[string]any{"k": "2"})
	w.holds("production/./db", map[string]string{"a": "2"})
	w.holds("production/./api", map[string]string{"k": "2"})
	w.current("db", began)
	w.current("api", began)
	second := w.deployment("web")
	for _, name := range []string{restart.Annotation("db"), restart.Annotation("api")} {
		if second.Spec.Template.Annotations[name] != second.Annotations[name] || second.Annotations[name] == first.Annotations[name] {
			t.Errorf("%s: %v, its template %v", name, second.Annotations, second.Spec.Template.Annotations)
		}
	}
	if rounds := second.Generation - first.Generation; rounds < 1 || rounds > 2 {
		t.Errorf("its template was changed %d times for two copies", rounds)
	}

	// Neither labels, nor a hand at the copy, nor a restart of the server are a change of data.
	w.restarting("db", "deployment/web", "labels: {team: a}\n")
	w.until("production/./db", "the label", func(s *corev1.Secret) bool { return s.Labels["team"] == "a" })
	w.edit("production/./db", func(s *corev1.Secret) { s.Data["a"] = []byte("by hand") })
	w.holds("production/./db", map[string]string{"a": "2"})
	w.restart(func() error { return nil })
	w.current("db", time.Time{})
	w.current("api", time.Time{})
	if third := w.deployment("web"); third.Generation != second.Generation {
		t.Errorf("its template was changed %d times for nothing", third.Generation-second.Generation)
	}

	// A change while the server was down is made up for, as one that a crash cut off.
	w.restart(func() error {
		d := w.deployment("web")
		d.Annotations[restart.Annotation("db")] = "of older data"
		_, err := w.stack.Cluster("production").Admin.AppsV1().Deployments(w.namespace).Update(w.ctx, d, metav1.UpdateOptions{})
		return err
	})
	w.statusWhere("db", "restarted after the crash", func(s status.Status) bool {
		r := s.Targets[0].Restarts
		return len(r) == 1 && r[0].State == restart.Current && !r[0].Restarted.IsZero()
	})
	if fourth := w.deployment("web"); fourth.Annotations[restart.Annotation("db")] != second.Annotations[restart.Annotation("db")] {
		t.Errorf("it bears %v", fourth.Annotations)
	}
}

func TestAWorkloadThatIsMissingIsToldAndFailsNoCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.restarting("db", "statefulset/none", "")
	s := w.statusWhere("db", "a missing workload", func(s status.Status) bool {
		return s.Phase == status.Active && len(s.Targets[0].Restarts) == 1 && s.Targets[0].Restarts[0].State == restart.Failed
	})
	if said := s.Targets[0].Restarts[0].Message; !strings.Contains(said, "there is no statefulset/none in namespace "+w.namespace) {
		t.Error(said)
	}
	w.put("db", map[string]any{"a": "2"})
	w.holds("production/./db", map[string]string{"a": "2"})

	// One that is made later is found, and restarted for what changes after it was made.
	w.restarting("db", "deployment/late", "")
	w.statusWhere("db", "a missing workload", func(s status.Status) bool {
		return len(s.Targets[0].Restarts) == 1 && s.Targets[0].Restarts[0].State == restart.Failed
	})
	w.deploy("late")
	w.current("db", time.Time{})
	if d := w.deployment("late"); len(d.Spec.Template.Annotations) != 0 {
		t.Errorf("a workload that is newer than its copy was restarted: %v", d.Spec.Template.Annotations)
	}
	began := time.Now()
	w.put("db", map[string]any{"a": "3"})
	w.current("db", began)
	if d := w.deployment("late"); len(d.Spec.Template.Annotations) != 1 {
		t.Errorf("its template bears %v", d.Spec.Template.Annotations)
	}
}

func TestNothingIsRestartedThatIsSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.restarting("db", "deployment/late", "")
	restarts := func(is restart.State) func(status.Status) bool {
		return func(s status.Status) bool {
			return len(s.Targets[0].Restarts) == 1 && s.Targets[0].Restarts[0].State == is
		}
	}
	w.statusWhere("db", "a missing workload", restarts(restart.Failed))

	// It would be looked for once an interval; while it rests it is not.
	w.restarting("db", "deployment/late", "suspend: true\n")
	w.statusWhere("db", "a restart that rests", restarts(restart.Waiting))
	w.deploy("late")
	if d := w.deployment("late"); len(d.Annotations) != 0 {
		t.Errorf("it bears %v", d.Annotations)
	}
	w.restarting("db", "deployment/late", "")
	w.statusWhere("db", "a workload that is known", restarts(restart.Current))
	if d := w.deployment("late"); d.Annotations[restart.Annotation("db")] == "" || len(d.Spec.Template.Annotations) != 0 {
		t.Errorf("it bears %v, its template %v", d.Annotations, d.Spec.Template.Annotations)
	}
}
