package reconcile

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/status"
)

// mutates has the cluster production change the world's Secrets as they are
// written, by a CEL expression; it returns how to end that. inForce tells by the
// dry run of one with a label and a data key.
func (w *world) mutates(expression string, inForce func(*corev1.Secret) bool) (end func()) {
	w.t.Helper()
	over := w.policy(expression)
	probe := func(wanted bool) {
		for limit := time.Now().Add(deadline); ; time.Sleep(50 * time.Millisecond) {
			if got := w.admitted(); got != nil && inForce(got) == wanted {
				return
			}
			if time.Now().After(limit) {
				w.t.Fatalf("admission does not come to be in force: %v", wanted)
			}
		}
	}
	probe(true)
	return func() { over(); probe(false) }
}

// admitted returns what admission in the cluster production makes of a Secret
// with our label and one data key; nil where it refuses that.
func (w *world) admitted() *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{copies.LabelManagedBy: copies.ManagedBy}}, Data: map[string][]byte{"a": []byte("x")}}
	got, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace).Create(w.ctx, s, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil
	}
	return got
}

// policy makes an admission policy that changes the world's Secrets, which is in
// force after a while.
func (w *world) policy(expression string) (end func()) {
	w.t.Helper()
	api := w.stack.Cluster("production").Admin.AdmissionregistrationV1()
	_, err := api.MutatingAdmissionPolicies().Create(w.ctx, &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.namespace}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
				}}},
			},
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			Mutations:          []admissionv1.Mutation{{PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{Expression: expression}}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	_, err = api.MutatingAdmissionPolicyBindings().Create(w.ctx, &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.name}, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: w.name},
	}, metav1.CreateOptions{})
	w.must(err)
	over := sync.OnceFunc(func() {
		_ = api.MutatingAdmissionPolicyBindings().Delete(context.Background(), w.name, metav1.DeleteOptions{})
		_ = api.MutatingAdmissionPolicies().Delete(context.Background(), w.name, metav1.DeleteOptions{})
	})
	w.t.Cleanup(over)
	return over
}

// never watches a definition's statuses, and reports one that must not be.
func (w *world) never(name, what string, is func(status.Target) bool) (stop func()) {
	n := w.parse(name)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if e, ok := w.repo.Snapshot().Get(n); ok {
				for _, s := range w.r.Status(w.tenant(), e).Targets {
					if is(s) {
						w.t.Errorf("%s is %s: %+v", name, what, s)
						return
					}
				}
			}
			select {
			case <-quit:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return sync.OnceFunc(func() { close(quit); <-ended })
}

func isSynced(s status.Target) bool { return s.State == fault.Synced }

func TestWhatAdmissionChangesIsWrittenOnceAndSaid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		expression string
		inForce    func(*corev1.Secret) bool
		says       string
	}{
		"a data key that is added": {
			`[JSONPatch{op: "add", path: "/data/injected", value: "eA=="}]`,
			func(s *corev1.Secret) bool { return len(s.Data) == 2 }, "adds a data key",
		},
		"a value that is changed": {
			`[JSONPatch{op: "replace", path: "/data/a", value: "eHg="}]`,
			func(s *corev1.Secret) bool { return string(s.Data["a"]) == "xx" }, "changes the data keys a",
		},
		"the managed-by label": {
			`[JSONPatch{op: "add", path: "/metadata/labels/app.kubernetes.io~1managed-by", value: "helm"}]`,
			func(s *corev1.Secret) bool { return s.Labels[copies.LabelManagedBy] == "helm" }, "changes the labels " + copies.LabelManagedBy,
		},
		"all labels": {
			`[JSONPatch{op: "remove", path: "/metadata/labels"}]`,
			func(s *corev1.Secret) bool { return len(s.Labels) == 0 }, "changes the labels",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := prometheus.NewRegistry()
			w := newWorld(t, func(w *world) { w.config.Metrics = registry })
			end := w.mutates(test.expression, test.inForce)
			var names []string
			var stops []func()
			for i := range 10 {
				names = append(names, fmt.Sprintf("db-%d", i))
				w.put(names[i], map[string]any{"a": "1"})
				stops = append(stops, w.never(names[i], "Synced of something else", isSynced))
				w.define(names[i], "production/.")
			}
			for _, name := range names {
				if s := w.status(name, fault.ReasonAltered); s.State != fault.Error || !strings.Contains(s.Message, test.says) {
					t.Errorf("%+v", s)
				}
			}
			// Over several polls nothing is written again.
			w.r.SyncNow(w.tenant(), w.parse(names[0]))
			time.Sleep(3500 * time.Millisecond)
			if n := w.written(registry); n != len(names) {
				t.Errorf("%d writes of %d copies", n, len(names))
			}
			for _, name := range names {
				w.status(name, fault.ReasonAltered)
			}
			// All are deleted by hand; none is called Synced for that.
			for _, name := range names {
				w.delete("production/./" + name)
			}
			time.Sleep(500 * time.Millisecond)
			for _, name := range names {
				w.status(name, fault.ReasonAltered)
			}
			for _, stop := range stops {
				stop()
			}
			end()
			for _, name := range names {
				w.holds("production/./"+name, map[string]string{"a": "1"})
			}
			w.synced(names...)
		})
	}
}

// written counts the writes so far.
func (w *world) written(registry *prometheus.Registry) (n int) {
	w.t.Helper()
	families, err := registry.Gather()
	w.must(err)
	for _, f := range families {
		if f.GetName() == "secretsync_writes_total" {
			for _, m := range f.GetMetric() {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}
