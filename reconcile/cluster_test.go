package reconcile

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// productionVia puts a proxy in front of a world's cluster production.
func productionVia(t *testing.T, stack *devstack.Stack) (*devstack.Proxy, func(*world)) {
	t.Helper()
	p, err := stack.Cluster("production").Proxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, func(w *world) { w.config.Clusters[0].REST = p.Config }
}

func isWrite(r *http.Request) bool { return r.Method != http.MethodGet }

func TestAClusterThatIsDownHoldsUpNothingElseAndRecovers(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]devstack.Fault{
		"connections are reset":  {Reset: true},
		"it answers 503":         {Status: http.StatusServiceUnavailable},
		"it answers nothing":     {Drop: true},
		"answers are cut short":  {Truncate: 30},
		"writes fail only":       {Status: 500, Match: isWrite},
		"writes hang, only they": {Drop: true, Match: isWrite},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, via := productionVia(t, devstack.Shared(t))
			w := newWorld(t, via)
			w.put("old", map[string]any{"a": "1"})
			w.define("old", "production/.", "staging/.")
			w.synced("old")
			proxy.Inject(trouble)
			proxy.Disconnect()
			for i := range 20 {
				name := fmt.Sprintf("db-%d", i)
				w.put(name, map[string]any{"a": "1"})
				w.define(name, "production/.", "staging/.")
			}
			for i := range 20 {
				s := w.statusWhere(fmt.Sprintf("db-%d", i), "half synced", func(s status.Status) bool {
					return s.Targets[0].Reason == fault.ReasonClusterUnreachable && s.Targets[1].Reason == fault.ReasonSynced
				})
				if s.Phase != status.Degraded {
					t.Errorf("%+v", s)
				}
			}
			proxy.Clear()
			for i := range 20 {
				w.synced(fmt.Sprintf("db-%d", i))
				w.holds(fmt.Sprintf("production/./db-%d", i), map[string]string{"a": "1"})
			}
			w.synced("old")
		})
	}
}

func TestAnEditDuringABrokenWatchIsPutRight(t *testing.T) {
	t.Parallel()
	proxy, via := productionVia(t, devstack.Shared(t))
	w := newWorld(t, via, func(w *world) { w.config.PollInterval = seldom })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/./one", "production/./two")
	w.synced("db")
	isWatch := func(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }
	proxy.Inject(devstack.Fault{Match: isWatch, Status: 500, Times: 1})
	proxy.Disconnect()
	w.edit("production/./one", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	w.delete("production/./two")
	w.holds("production/./one", map[string]string{"a": "1"})
	w.holds("production/./two", map[string]string{"a": "1"})
	w.synced("db")
	// The watch is told that it is too old.
	proxy.Inject(devstack.Fault{Match: isWatch, Status: http.StatusGone, Times: 2})
	proxy.Disconnect()
	w.delete("production/./two")
	w.holds("production/./two", map[string]string{"a": "1"})
}

func TestAServerThatAsksToWaitIsLeftAlone(t *testing.T) {
	t.Parallel()
	proxy, via := productionVia(t, devstack.Shared(t))
	w := newWorld(t, via)
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("db-%d", i))
		w.put(names[i], map[string]any{"a": "1"})
	}
	w.define("first", "production/.")
	w.status("first", fault.ReasonValueNotFound)
	proxy.Inject(devstack.Fault{Match: isWrite, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"2"}}})
	for _, name := range names {
		w.define(name, "production/.")
	}
	// Queued is what it begins with: only the message tells that 429 was answered.
	w.statusWhere(names[39], "put off", func(s status.Status) bool { return strings.Contains(s.Targets[0].Message, "asks us to wait") })
	began, before := time.Now(), proxy.Requests()
	time.Sleep(2 * time.Second)
	n, took := proxy.Requests()-before, time.Since(began)
	if rests := int(took / (2 * time.Second)); n > (1+rests)*DefaultClusterWrites+4 {
		t.Errorf("%d requests in %s to a server that asks for 2 s of rest", n, took)
	}
	proxy.Clear()
	w.synced(names...)
}

func TestAnAPIServerThatRestarts(t *testing.T) {
	t.Parallel()
	stack := devstack.StartT(t, devstack.Options{})
	w := newWorldOn(t, stack)
	production := stack.Cluster("production")
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.", "staging/.")
	w.synced("db")

	production.Stop()
	w.statusWhere("db", "unreachable", func(s status.Status) bool { return s.Targets[0].Reason == fault.ReasonClusterUnreachable })
	v := w.put("db", map[string]any{"a": "2"})
	w.holds("staging/./db", map[string]string{"a": "2"})
	w.must(production.Start(w.ctx))
	w.holds("production/./db", map[string]string{"a": "2"})
	w.statusWhere("db", "the new version", func(s status.Status) bool { return s.Phase == status.Active && s.Targets[0].VaultVersion == v })

	// It comes back having lost everything: the resource versions begin anew.
	production.Stop()
	w.must(production.StartEmpty(w.ctx))
	w.statusWhere("db", "NamespaceNotFound", func(s status.Status) bool { return s.Targets[0].Reason == fault.ReasonNamespaceNotFound })
	w.must(production.CreateNamespace(w.ctx, w.namespace))
	w.holds("production/./db", map[string]string{"a": "2"})
	w.synced("db")
	w.delete("production/./db")
	w.holds("production/./db", map[string]string{"a": "2"})

	// Vault: sealed, stopped.
	w.must(stack.Vault.Seal(w.ctx))
	w.statusWhere("db", "VaultUnavailable", func(s status.Status) bool { return s.Targets[0].Reason == fault.ReasonVaultUnavailable })
	w.must(stack.Vault.Unseal(w.ctx))
	w.synced("db")
	stack.Vault.Stop()
	w.statusWhere("db", "VaultUnavailable", func(s status.Status) bool { return s.Targets[0].Reason == fault.ReasonVaultUnavailable })
	w.must(stack.Vault.Start(w.ctx))
	w.synced("db")
}

func TestWhatAClusterForbidsIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		production := w.stack.Cluster("production")
		kubeconfig, _, err := production.NewUser("reader-" + w.name)
		w.must(err)
		rbac := production.Admin.RbacV1()
		_, err = rbac.ClusterRoles().Create(w.ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: w.name}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}},
		}}, metav1.CreateOptions{})
		w.must(err)
		_, err = rbac.ClusterRoleBindings().Create(w.ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: w.name},
			RoleRef:  rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: w.name},
			Subjects: []rbacv1.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "reader-" + w.name}}}, metav1.CreateOptions{})
		w.must(err)
		w.config.Clusters[0].Kubeconfig = kubeconfig
	})
	w.put("db", map[string]any{"a": "canary-value-1"})
	w.define("db", "production/.")
	s := w.status("db", fault.ReasonForbidden)
	if s.State != fault.Error || !strings.Contains(s.Message, "does not let us create Secrets") || strings.Contains(s.Message, "canary") {
		t.Errorf("%+v", s)
	}
	// Namespaces can't be seen there; a missing one is noticed by the refusal.
}

func TestWhatAnAdmissionPolicyRefusesIsSaidWithoutTheValue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	policies := w.stack.Cluster("production").Admin.AdmissionregistrationV1()
	_, err := policies.ValidatingAdmissionPolicies().Create(w.ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
			}}}},
			Validations: []admissionv1.Validation{{
				Expression:        fmt.Sprintf("object.metadata.namespace != '%s'", w.namespace),
				MessageExpression: "'no Secrets are wanted here, such as ' + string(object.data.a)",
			}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	_, err = policies.ValidatingAdmissionPolicyBindings().Create(w.ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: w.name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}, metav1.CreateOptions{})
	w.must(err)
	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Data: map[string][]byte{"a": []byte("x")}}
	for end := time.Now().Add(deadline); ; time.Sleep(50 * time.Millisecond) {
		_, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace).Create(w.ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the policy does not come into force")
		}
	}
	const canary = "canary-of-admission"
	w.put("db", map[string]any{"a": canary})
	w.define("db", "production/.")
	s := w.status("db", fault.ReasonForbidden)
	if !strings.Contains(s.Message, w.name) { // which is the policy's too
		t.Errorf("the cause is not told: %s", s.Message)
	}
	if strings.Contains(s.Message, canary) || strings.Contains(s.Message, base64.StdEncoding.EncodeToString([]byte(canary))) {
		t.Errorf("the value is told: %s", s.Message)
	}
}

func TestAPassingRefusalOfNamespacesIsAskedAgainSoon(t *testing.T) {
	t.Parallel()
	proxy, via := productionVia(t, devstack.Shared(t))
	proxy.Inject(devstack.Fault{
		Match:  func(r *http.Request) bool { return r.URL.Path == "/api/v1/namespaces" },
		Status: http.StatusForbidden, Times: 1,
	})
	w := newWorld(t, via, func(w *world) { w.config.PollInterval = seldom })
	w.put("db", map[string]any{"a": "1"})
	late := w.name + "-late"
	w.define("db", "production/"+late)
	w.status("db", fault.ReasonNamespaceNotFound)
	w.must(w.stack.Cluster("production").CreateNamespace(w.ctx, late))
	w.synced("db")
}

func TestCredentialsAreReadAgainFromTheirFile(t *testing.T) {
	t.Parallel()
	var file, good string
	w := newWorld(t, func(w *world) {
		production := w.stack.Cluster("production")
		unknown, _, err := production.NewUser("nobody-" + w.name)
		w.must(err)
		good = production.Kubeconfig
		file = filepath.Join(w.t.TempDir(), "kubeconfig")
		copyFile(w, unknown, file)
		w.config.Clusters[0].Kubeconfig = file
	})
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	if s := w.status("db", fault.ReasonForbidden); s.State != fault.Error {
		t.Errorf("%+v", s)
	}
	copyFile(w, good, file)
	w.synced("db")
}

func copyFile(w *world, from, to string) {
	w.t.Helper()
	content, err := os.ReadFile(from)
	w.must(err)
	w.must(os.WriteFile(to, content, 0o600))
}

func TestTwoTenantsOnOneClusterNeverTouchEachOthersSecrets(t *testing.T) {
	t.Parallel()
	a := newWorld(t, notRunning)
	b := newWorld(t, notRunning)
	// Both are granted the same namespace.
	a.config.Tenants = append(a.config.Tenants, b.config.Tenants...)
	grant := a.config.Tenants[1].Clusters[a.cluster("production")]
	grant.Namespaces = append(grant.Namespaces, a.namespace)
	a.config.Tenants[1].Clusters[a.cluster("production")] = grant
	a.ends = nil
	a.start()
	b.r = a.r
	a.put("db", map[string]any{"a": "of a"})
	b.put("db", map[string]any{"a": "of b"})
	a.define("db", "production/.")
	a.synced("db")
	b.define("db", "production/"+a.namespace)
	s := b.status("db", fault.ReasonTargetConflict)
	if strings.Contains(s.Message, a.name+" ") || strings.Contains(s.Message, "tenant "+a.name) {
		t.Errorf("the message names the other tenant: %q", s.Message)
	}
	a.holds("production/./db", map[string]string{"a": "of a"})
	// a lets go of it: the Secret is still a's.
	a.remove("db")
	b.status("db", fault.ReasonNotOwned)
	a.holds("production/./db", map[string]string{"a": "of a"})
	a.delete("production/./db")
	a.holds("production/./db", map[string]string{"a": "of b"})
	b.synced("db")
}
