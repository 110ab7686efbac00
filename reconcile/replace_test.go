package reconcile

import (
	"context"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

func TestASecretOfAnotherTypeOrOwnerIsNeverTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	yes := true
	for name, s := range map[string]*corev1.Secret{
		"pull": {Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{".dockerconfigjson": []byte(`{"auths":{}}`)}},
		"tls":  {Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": nil, "tls.key": nil}},
		"owned": {ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "ConfigMap", Name: "theirs", UID: types.UID("6e9c2d3b-0000-4000-8000-000000000000")}}}},
		"immutable": {Immutable: &yes},
	} {
		s.Name = name
		s.Annotations = map[string]string{copies.AnnotationAdopt: w.name + "/" + name}
		if name == "owned" {
			// Of an owner that is there: one that is not has its Secret collected.
			owner, err := w.stack.Cluster("production").Admin.CoreV1().ConfigMaps(w.namespace).Create(w.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}, metav1.CreateOptions{})
			w.must(err)
			s.OwnerReferences[0].UID = owner.UID
		}
		before := w.create("production", s)
		w.put(name, map[string]any{"a": "1"})
		w.define(name, "production/.")
		if st := w.status(name, fault.ReasonTypeMismatch); st.State != fault.Error {
			t.Errorf("%+v", st)
		}
		w.r.SyncNow(w.tenant(), w.parse(name))
		w.status(name, fault.ReasonTypeMismatch)
		if now := w.get("production/./" + name); now.ResourceVersion != before.ResourceVersion {
			t.Errorf("%s was touched: %+v", name, now)
		}
	}
}

// kubectl get secret | sed | kubectl apply, made immutable, where a definition
// wants its copy: the labels are ours, the Secret is a person's, and to write it
// would be to delete it.
func TestAnImmutableSecretThatAPersonMadeOfACopyIsNotReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	original, yes := w.get("production/./db"), true
	before := w.create("production", &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "theirs", Labels: original.Labels, Annotations: original.Annotations},
		Immutable:  &yes, Data: map[string][]byte{"a": []byte("theirs")},
	})
	w.put("other", map[string]any{"a": "2"})
	w.define("other", "production/./theirs")
	w.status("other", fault.ReasonTypeMismatch)
	if now := w.get("production/./theirs"); now.UID != before.UID || now.ResourceVersion != before.ResourceVersion {
		t.Errorf("it was touched: %+v", now)
	}
	w.delete("production/./theirs")
	w.holds("production/./theirs", map[string]string{"a": "2"})
	w.synced("other")
}

// denies has production refuse Secrets of the world of which an expression does
// not hold.
func (w *world) denies(expression string, operations ...admissionv1.OperationType) (end func()) {
	w.t.Helper()
	api := w.stack.Cluster("production").Admin.AdmissionregistrationV1()
	_, err := api.ValidatingAdmissionPolicies().Create(w.ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.namespace}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: operations,
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
				}}},
			},
			Validations: []admissionv1.Validation{{Expression: expression}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	_, err = api.ValidatingAdmissionPolicyBindings().Create(w.ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: w.name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}, metav1.CreateOptions{})
	w.must(err)
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Data: map[string][]byte{"a": []byte("x")}}
	for limit := time.Now().Add(deadline); ; time.Sleep(50 * time.Millisecond) {
		_, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace).Create(w.ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			break
		}
		if time.Now().After(limit) {
			w.t.Fatal("the policy does not come into force")
		}
	}
	end = func() {
		_ = api.ValidatingAdmissionPolicyBindings().Delete(context.Background(), w.name, metav1.DeleteOptions{})
		_ = api.ValidatingAdmissionPolicies().Delete(context.Background(), w.name, metav1.DeleteOptions{})
	}
	w.t.Cleanup(end)
	return end
}

func TestACopyWhoseSuccessorIsRefusedStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	yes := true
	before := w.edit("production/./db", func(s *corev1.Secret) { s.Immutable = &yes })
	end := w.denies("false", admissionv1.Create)
	w.put("db", map[string]any{"a": "2"})
	if s := w.status("db", fault.ReasonForbidden); !strings.Contains(s.Message, w.name) || s.VaultVersion != 1 {
		t.Errorf("%+v", s)
	}
	time.Sleep(2500 * time.Millisecond) // over some polls
	if now := w.get("production/./db"); now == nil || now.UID != before.UID || string(now.Data["a"]) != "1" {
		t.Errorf("it is %+v", now)
	}
	end()
	w.holds("production/./db", map[string]string{"a": "2"})
	w.synced("db")
}

func TestAFinalizerThatWouldKeepTheOldCopyIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	yes := true
	before := w.edit("production/./db", func(s *corev1.Secret) { s.Immutable, s.Finalizers = &yes, []string{"example.org/keep"} })
	w.put("db", map[string]any{"a": "2"})
	if s := w.status("db", fault.ReasonSecretTerminating); !strings.Contains(s.Message, "example.org/keep") {
		t.Errorf("%+v", s)
	}
	time.Sleep(2500 * time.Millisecond)
	if now := w.get("production/./db"); now.UID != before.UID || now.DeletionTimestamp != nil {
		t.Errorf("it was deleted: %+v", now)
	}
	w.edit("production/./db", func(s *corev1.Secret) { s.Finalizers = nil })
	w.holds("production/./db", map[string]string{"a": "2"})
	w.synced("db")

	// Somebody deletes a copy that a finalizer keeps: it is written when it is gone.
	w.edit("production/./db", func(s *corev1.Secret) { s.Finalizers = []string{"example.org/keep"} })
	w.delete("production/./db")
	if s := w.status("db", fault.ReasonSecretTerminating); s.State != fault.Pending || !strings.Contains(s.Message, "example.org/keep") {
		t.Errorf("%+v", s)
	}
	w.edit("production/./db", func(s *corev1.Secret) { s.Finalizers = nil })
	w.synced("db")
	if now := w.get("production/./db"); now.DeletionTimestamp != nil {
		t.Errorf("%+v", now)
	}
}
