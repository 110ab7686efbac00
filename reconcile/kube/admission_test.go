package kube

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admission "k8s.io/api/admission/v1"
	registration "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/refusal"
)

// matching is the Secrets of the world's namespace.
func (w *world) matching(operations ...registration.OperationType) *registration.MatchResources {
	return &registration.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.namespace}},
		ResourceRules:     []registration.NamedRuleWithOperations{{RuleWithOperations: secretRule(operations...)}},
	}
}

func secretRule(operations ...registration.OperationType) registration.RuleWithOperations {
	return registration.RuleWithOperations{
		Operations: operations,
		Rule:       registration.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
	}
}

// probe tries a dry run until admission is in force, or is not any more.
func (w *world) probe(what string, ok func(*corev1.Secret, error) bool) {
	w.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(50 * time.Millisecond) {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{copies.LabelManagedBy: copies.ManagedBy}}, Data: map[string][]byte{"a": []byte("x")}}
		if ok(w.real.Admin.CoreV1().Secrets(w.namespace).Create(w.ctx, s, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})) {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("admission: not %s", what)
		}
	}
}

// mutates has the cluster change Secrets of the world by a CEL expression.
func (w *world) mutates(expression string) {
	w.t.Helper()
	api := w.real.Admin.AdmissionregistrationV1()
	never := registration.NeverReinvocationPolicy
	_, err := api.MutatingAdmissionPolicies().Create(w.ctx, &registration.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Spec: registration.MutatingAdmissionPolicySpec{
			MatchConstraints:   w.matching(registration.Create, registration.Update),
			ReinvocationPolicy: never,
			Mutations: []registration.Mutation{{
				PatchType: registration.PatchTypeJSONPatch,
				JSONPatch: &registration.JSONPatch{Expression: expression},
			}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	_, err = api.MutatingAdmissionPolicyBindings().Create(w.ctx, &registration.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace}, Spec: registration.MutatingAdmissionPolicyBindingSpec{PolicyName: w.namespace},
	}, metav1.CreateOptions{})
	w.must(err)
	w.t.Cleanup(func() { w.mutatesNoMore() })
}

func (w *world) mutatesNoMore() {
	api := w.real.Admin.AdmissionregistrationV1()
	_ = api.MutatingAdmissionPolicyBindings().Delete(w.ctx, w.namespace, metav1.DeleteOptions{})
	_ = api.MutatingAdmissionPolicies().Delete(w.ctx, w.namespace, metav1.DeleteOptions{})
}

// denies has the cluster refuse what an expression does not hold for.
func (w *world) denies(expression, message string) {
	w.t.Helper()
	api := w.real.Admin.AdmissionregistrationV1()
	_, err := api.ValidatingAdmissionPolicies().Create(w.ctx, &registration.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Spec: registration.ValidatingAdmissionPolicySpec{
			MatchConstraints: w.matching(registration.Create, registration.Update),
			Validations:      []registration.Validation{{Expression: expression, MessageExpression: message}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	_, err = api.ValidatingAdmissionPolicyBindings().Create(w.ctx, &registration.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Spec:       registration.ValidatingAdmissionPolicyBindingSpec{PolicyName: w.namespace, ValidationActions: []registration.ValidationAction{registration.Deny}},
	}, metav1.CreateOptions{})
	w.must(err)
	w.t.Cleanup(func() {
		_ = api.ValidatingAdmissionPolicyBindings().Delete(w.ctx, w.namespace, metav1.DeleteOptions{})
		_ = api.ValidatingAdmissionPolicies().Delete(w.ctx, w.namespace, metav1.DeleteOptions{})
	})
}

func TestWhatAdmissionChangesIsTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		expression string
		inForce    func(*corev1.Secret) bool
		says       string
		watched    bool
	}{
		"a data key": {
			`[JSONPatch{op: "add", path: "/data/injected", value: "eA=="}]`,
			func(s *corev1.Secret) bool { return len(s.Data) == 2 }, "adds a data key", true,
		},
		"a value": {
			`[JSONPatch{op: "replace", path: "/data/a", value: "eHg="}]`,
			func(s *corev1.Secret) bool { return string(s.Data["a"]) == "xx" }, "changes the data keys a", true,
		},
		"the managed-by label": {
			`[JSONPatch{op: "add", path: "/metadata/labels/app.kubernetes.io~1managed-by", value: "helm"}]`,
			func(s *corev1.Secret) bool { return s.Labels[copies.LabelManagedBy] == "helm" }, "changes the labels " + copies.LabelManagedBy, true,
		},
		"all labels, and a data key": {
			`[JSONPatch{op: "remove", path: "/metadata/labels"}, JSONPatch{op: "add", path: "/data/injected", value: "eA=="}]`,
			func(s *corev1.Secret) bool { return len(s.Labels) == 0 }, "adds a data key, changes the labels " + copies.LabelManagedBy + ", " + copies.LabelName + ", " + copies.LabelTenant, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).up()
			w.mutates(test.expression)
			w.probe("in force", func(s *corev1.Secret, err error) bool { return err == nil && test.inForce(s) })
			d := w.desired("db", 1, "a=1")
			w.create(d)
			altered := func(s mirror.Seen) bool { return s.Copy != nil && s.Copy.Altered != nil }
			r := w.seen("db", "altered", altered).Copy
			if said := r.Altered.String(); said != test.says || r.Watched != test.watched || r.Manager != nil || r.Right(owner, d.Stamp, "", 0) {
				t.Fatalf("%q; %+v", said, r)
			}
			// The same at an update.
			d = w.desired("db", 2, "a=2")
			r, err := w.c.Update(w.ctx, r, d)
			w.must(err)
			r = w.seen("db", "altered again", func(s mirror.Seen) bool { return altered(s) && s.Copy.ResourceVersion == r.ResourceVersion }).Copy
			if said := r.Altered.String(); said != test.says || r.Owner != owner {
				t.Errorf("%q; %+v", said, r)
			}
			if again, err := w.c.Read(w.ctx, d.Key, owner); err != nil || again.Altered == nil || again.Owner != owner {
				t.Errorf("read again: %v, %v", again, err)
			}
			// Then it is deleted by hand.
			w.remove("db")
			if test.watched {
				w.seen("db", "gone", func(s mirror.Seen) bool { return s.Copy == nil && s.Left })
			} else if r, err := w.c.Read(w.ctx, d.Key, owner); r != nil || err != nil || w.c.Look(d.Key).Copy != nil {
				t.Errorf("%+v, %v", r, err)
			}
			w.mutatesNoMore()
			w.probe("over", func(s *corev1.Secret, err error) bool { return err == nil && !test.inForce(s) })
			if r := w.create(d); r.Altered != nil {
				t.Errorf("%+v", r)
			}
		})
	}
}

// webhook is an admission webhook in the test; it answers as it is told.
type webhook struct {
	answer atomic.Pointer[func(*admission.AdmissionRequest) *admission.AdmissionResponse]
	broken atomic.Bool
	calls  atomic.Int64
}

func (w *world) webhook() *webhook {
	w.t.Helper()
	h := &webhook{}
	h.answers(func(*admission.AdmissionRequest) *admission.AdmissionResponse {
		return &admission.AdmissionResponse{Allowed: true}
	})
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h.calls.Add(1)
		if h.broken.Load() {
			rw.WriteHeader(http.StatusInternalServerError)
			return
		}
		var review admission.AdmissionReview
		body, _ := io.ReadAll(r.Body)
		if json.Unmarshal(body, &review) != nil {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		review.Response = (*h.answer.Load())(review.Request)
		review.Response.UID = review.Request.UID
		review.Request = nil
		rw.Header().Set("Content-Type", "application/json")
		json.NewEncoder(rw).Encode(review)
	}))
	w.t.Cleanup(server.Close)
	api := w.real.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	none := registration.SideEffectClassNone
	_, err := api.Create(w.ctx, &registration.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Webhooks: []registration.ValidatingWebhook{{
			Name:                    w.namespace + ".example.org",
			ClientConfig:            registration.WebhookClientConfig{URL: &server.URL, CABundle: certPEM(server.Certificate())},
			Rules:                   []registration.RuleWithOperations{secretRule(registration.Create, registration.Update)},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.namespace}},
			SideEffects:             &none,
			AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	w.must(err)
	w.t.Cleanup(func() { _ = api.Delete(w.ctx, w.namespace, metav1.DeleteOptions{}) })
	w.probe("called", func(*corev1.Secret, error) bool { return h.calls.Load() > 0 })
	return h
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func (h *webhook) answers(f func(*admission.AdmissionRequest) *admission.AdmissionResponse) {
	h.answer.Store(&f)
}

func TestAWebhooksRefusalIsItsOwnAndItsTextIsNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	h := w.webhook()
	for code, want := range map[int32]refusal.Kind{400: refusal.Denied, 401: refusal.Denied, 403: refusal.Denied, 404: refusal.Denied, 409: refusal.Denied, 410: refusal.Denied, 422: refusal.Denied, 429: refusal.AdmissionFailed, 500: refusal.AdmissionFailed, 503: refusal.AdmissionFailed} {
		h.answers(func(*admission.AdmissionRequest) *admission.AdmissionResponse {
			return &admission.AdmissionResponse{Result: &metav1.Status{Code: code, Message: canary, Reason: canary,
				Details: &metav1.StatusDetails{Kind: "namespaces", Name: canary, RetryAfterSeconds: 1, Causes: []metav1.StatusCause{{Field: canary, Message: canary, Type: canary}}}}}
		})
		_, err := w.c.Create(w.ctx, w.desired("db", 1, "a="+canary))
		if refusal.KindOf(err) != want || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), w.namespace+".example.org") {
			t.Errorf("%d: %s, %v", code, refusal.KindOf(err), err)
		}
	}
	h.broken.Store(true)
	_, err := w.c.Create(w.ctx, w.desired("db", 1, "a=1"))
	if refusal.KindOf(err) != refusal.AdmissionFailed || !strings.Contains(err.Error(), w.namespace+".example.org") {
		t.Errorf("a broken webhook: %s, %v", refusal.KindOf(err), err)
	}
	h.broken.Store(false)
	h.answers(func(*admission.AdmissionRequest) *admission.AdmissionResponse {
		return &admission.AdmissionResponse{Allowed: true}
	})
	w.create(w.desired("db", 1, "a=1"))
	if w.told.all("") != 1 || w.c.Outage() != nil {
		t.Errorf("the cluster was taken for away: told %d times", w.told.all(""))
	}
	if strings.Contains(w.logs.String(), canary) {
		t.Error("the log tells the text")
	}
}

func TestAPolicysRefusalIsToldWithoutItsText(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	w.denies("false", "'none here, such as ' + string(object.data.a)")
	w.probe("in force", func(_ *corev1.Secret, err error) bool { return err != nil })
	_, err := w.c.Create(w.ctx, w.desired("db", 1, "a="+canary))
	if refusal.KindOf(err) != refusal.Denied || !strings.Contains(err.Error(), `policy "`+w.namespace+`"`) || strings.Contains(err.Error(), "none here") || strings.Contains(err.Error(), canary) {
		t.Errorf("%s, %v", refusal.KindOf(err), err)
	}
}

func TestAQuotaIsToldAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	quotas := w.real.Admin.CoreV1().ResourceQuotas(w.namespace)
	hard := corev1.ResourceList{"count/secrets": resource.MustParse("0")}
	q, err := quotas.Create(w.ctx, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}, metav1.CreateOptions{})
	w.must(err)
	q.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{"count/secrets": resource.MustParse("0")}} // as the quota controller does
	_, err = quotas.UpdateStatus(w.ctx, q, metav1.UpdateOptions{})
	w.must(err)
	w.probe("in force", func(_ *corev1.Secret, err error) bool { return err != nil && strings.Contains(err.Error(), "exceeded") })
	_, err = w.c.Create(w.ctx, w.desired("db", 1, "a=1"))
	if refusal.KindOf(err) != refusal.Denied || err.Error() != "exceeded quota: few, requested: count/secrets=1, used: count/secrets=0, limited: count/secrets=0" {
		t.Errorf("%s, %v", refusal.KindOf(err), err)
	}
}

func TestANamespaceThatIsMissingOrEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	d := w.desired("db", 1, "a=1")
	d.Namespace = w.namespace + "-late"
	if s := w.c.Look(d.Key); s.Namespace != mirror.NamespaceMissing {
		t.Errorf("%+v", s)
	}
	if _, err := w.c.Create(w.ctx, d); refusal.KindOf(err) != refusal.NoNamespace {
		t.Errorf("%v", err)
	}
	w.must(w.real.CreateNamespace(w.ctx, d.Namespace))
	w.until("there", func() bool { return w.c.Look(d.Key).Namespace == mirror.NamespaceThere })
	w.create(d)
	w.must(w.real.TerminateNamespace(w.ctx, d.Namespace))
	w.until("ends", func() bool { return w.c.Look(d.Key).Namespace == mirror.NamespaceTerminating })
	d.Key.Name = "another"
	if _, err := w.c.Create(w.ctx, d); refusal.KindOf(err) != refusal.NamespaceEnding {
		t.Errorf("%v", err)
	}
	w.must(w.real.DeleteNamespace(w.ctx, d.Namespace))
	w.until("missing", func() bool {
		s := w.c.Look(copies.Key{Namespace: d.Namespace, Name: "db"})
		return s.Namespace == mirror.NamespaceMissing && s.Copy == nil
	})
}

func TestWhatAdmissionWouldDoIsTried(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	d := w.desired("db", 1, "a=1")
	if a, err := w.c.Try(w.ctx, nil, d); a != nil || err != nil || w.get("db") != nil {
		t.Errorf("%v, %v", a, err)
	}
	r := w.create(d)
	w.mutates(`[JSONPatch{op: "add", path: "/data/injected", value: "eA=="}]`)
	w.probe("in force", func(s *corev1.Secret, err error) bool { return err == nil && len(s.Data) == 2 })
	if a, err := w.c.Try(w.ctx, r, w.desired("db", 2, "a=2")); a.String() != "adds a data key" || err != nil {
		t.Errorf("%v, %v", a, err)
	}
	if s := w.get("db"); s.ResourceVersion != r.ResourceVersion {
		t.Error("it was written")
	}
}
