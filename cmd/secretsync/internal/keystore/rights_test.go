package keystore

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

// Rights that are missing are told in words, by which somebody can give them.
func TestMissingRightsAreTold(t *testing.T) {
	w := newWorld(t)
	_, nobody, err := w.cluster.NewUser("nobody-" + w.namespace)
	if err != nil {
		t.Fatal(err)
	}
	want := func(err error, words string) {
		t.Helper()
		if !errors.Is(err, gitstore.ErrUnavailable) || errors.Is(err, apikey.ErrUnproven) || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v; want %q", err, words)
		}
	}
	_, err = Open(t.Context(), Config{Secrets: w.secrets(nobody)})
	want(err, "does not let the server list Secrets in its home namespace: its role there needs get, list, watch, create and patch on secrets")
	_, err = ClusterHashKey(t.Context(), w.secrets(nobody))
	want(err, "does not let the server get Secrets")

	_, reader, err := w.cluster.NewUser("reader-" + w.namespace)
	if err != nil {
		t.Fatal(err)
	}
	w.grant("reader-"+w.namespace, "get", "list", "watch")
	s := w.open(func(c *Config) { c.Secrets = w.secrets(reader) })
	want(s.Add(t.Context(), newKey(t, "acme")), "does not let the server create Secrets")

	missing, err := Open(t.Context(), Config{Secrets: w.cluster.Admin.CoreV1().Secrets("nowhere")})
	if err != nil {
		t.Fatal(err)
	}
	want(missing.Add(t.Context(), newKey(t, "acme")), "the home namespace is not there")
}

// Who may list and not watch is told so once, by the log and by the metric, however often
// the listing succeeds in between.
func TestAMissingRightToWatchIsToldOnce(t *testing.T) {
	w := newWorld(t)
	_, user, err := w.cluster.NewUser("lister-" + w.namespace)
	if err != nil {
		t.Fatal(err)
	}
	w.grant("lister-"+w.namespace, "get", "list", "create", "patch")
	var lists atomic.Int64
	seen := prometheus.NewRegistry()
	s := w.open(func(c *Config) { c.Secrets, c.Metrics = counted{w.secrets(user), &lists}, seen })
	w.until("it has listed again and again", func() bool { return lists.Load() > 4 })
	told := s.log.String()
	if n := strings.Count(told, "are not followed"); n != 1 || !strings.Contains(told, "does not let the server watch Secrets") || strings.Contains(told, "followed again") {
		t.Errorf("it is told %d times:\n%s", n, told)
	}
	if err := testutil.GatherAndCompare(seen, strings.NewReader("# HELP secretsync_keys_followed 1 while the Secrets with the API keys are followed, 0 while what other servers revoke is not seen.\n# TYPE secretsync_keys_followed gauge\nsecretsync_keys_followed 0\n"), "secretsync_keys_followed"); err != nil {
		t.Error(err)
	}
	made := w.add(w.open(), "acme")
	w.until("what others make is found by listing", func() bool { return s.Get(made.ID) != nil })
}

// counted counts listings.
type counted struct {
	Secrets
	lists *atomic.Int64
}

func (c counted) List(ctx context.Context, o metav1.ListOptions) (*corev1.SecretList, error) {
	c.lists.Add(1)
	return c.Secrets.List(ctx, o)
}

// grant lets a user do so with Secrets of the namespace.
func (w *world) grant(user string, verbs ...string) {
	w.Helper()
	rbac := w.cluster.Admin.RbacV1()
	_, err := rbac.Roles(w.namespace).Create(w.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: verbs}},
	}, metav1.CreateOptions{})
	if err == nil {
		_, err = rbac.RoleBindings(w.namespace).Create(w.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: user}},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		w.Fatal(err)
	}
}

// The least rights that the documents name suffice for everything.
func TestTheRightsThatAreNamedSuffice(t *testing.T) {
	w := newWorld(t)
	_, user, err := w.cluster.NewUser("least-" + w.namespace)
	if err != nil {
		t.Fatal(err)
	}
	w.grant("least-"+w.namespace, "get", "list", "watch", "create", "patch")
	secrets := w.secrets(user)
	if _, err := ClusterHashKey(t.Context(), secrets); err != nil {
		t.Error(err)
	}
	s := w.open(func(c *Config) { c.Secrets = secrets })
	first, second := w.add(s, "acme"), w.add(s, "acme")
	if found, err := s.Remove(t.Context(), first.Tenant, first.ID); !found || err != nil {
		t.Errorf("revoking: %v, %v", found, err)
	}
	w.add(w.open(), "acme")
	w.until("it follows", func() bool { keys, _ := s.Of(second.Tenant); return len(keys) == 2 })
}
