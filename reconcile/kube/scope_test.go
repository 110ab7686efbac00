package kube

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	allkinds "k8s.io/client-go/kubernetes/scheme"

	"secretsync/examples/devstack"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/refusal"
)

// user makes a user of the world's own, who may do nothing yet.
func (w *world) user() string {
	w.t.Helper()
	kubeconfig, _, err := w.real.NewUser(w.namespace)
	w.must(err)
	w.config.Kubeconfig = kubeconfig
	return w.namespace
}

func subject(user string) []rbacv1.Subject {
	return []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}
}

// examples are the objects of examples/rbac.yaml by kind and name.
func (w *world) examples() map[string]any {
	w.t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "examples", "rbac.yaml"))
	w.must(err)
	// As the file says itself: sed -n 's/^#| \{0,1\}//p'
	var lines []string
	for line := range strings.Lines(string(content)) {
		if line, ok := strings.CutPrefix(line, "#|"); ok {
			lines = append(lines, strings.TrimPrefix(line, " "))
		}
	}
	found := make(map[string]any)
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader([]byte(strings.Join(lines, "")))))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found
		}
		w.must(err)
		object, kind, err := allkinds.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		w.must(err)
		found[kind.Kind+"/"+object.(metav1.Object).GetName()] = object
	}
}

// byNamespace gives a user what examples/rbac.yaml gives by namespace.
func (w *world) byNamespace(user string, namespaces ...string) {
	w.t.Helper()
	all := w.examples()
	identity := all["ClusterRole/secretsync-identity"].(*rbacv1.ClusterRole)
	rbac := w.real.Admin.RbacV1()
	if _, err := rbac.ClusterRoles().Create(w.ctx, identity, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		w.must(err)
	}
	binding := all["ClusterRoleBinding/secretsync-identity"].(*rbacv1.ClusterRoleBinding)
	binding.Name, binding.Subjects = user, subject(user)
	_, err := rbac.ClusterRoleBindings().Create(w.ctx, binding, metav1.CreateOptions{})
	w.must(err)
	for _, namespace := range namespaces {
		w.grant(user, namespace)
	}
}

func (w *world) grant(user, namespace string) {
	w.t.Helper()
	all := w.examples()
	rbac := w.real.Admin.RbacV1()
	role := all["Role/secretsync"].(*rbacv1.Role)
	role.Namespace = namespace
	_, err := rbac.Roles(namespace).Create(w.ctx, role, metav1.CreateOptions{})
	w.must(err)
	binding := all["RoleBinding/secretsync"].(*rbacv1.RoleBinding)
	binding.Namespace, binding.Subjects = namespace, subject(user)
	_, err = rbac.RoleBindings(namespace).Create(w.ctx, binding, metav1.CreateOptions{})
	w.must(err)
}

func TestRightsByNamespace(t *testing.T) {
	t.Parallel()
	var user string
	w := newWorld(t, func(w *world) {
		user = w.user()
		for _, suffix := range []string{"-two", "-refused"} {
			w.must(w.real.CreateNamespace(w.ctx, w.namespace+suffix))
		}
		w.byNamespace(user, w.namespace, w.namespace+"-two")
		// The third is granted by a pattern only, and namespaces can't be listed.
		w.config.Namespaces = []string{w.namespace, w.namespace + "-t*", w.namespace + "-refused", "kube-*"}
	}).up()
	if strings.HasPrefix(w.c.Identity(), "name:") {
		t.Errorf("identity %s", w.c.Identity())
	}
	d := w.desired("db", 1, "a=1")
	w.create(d)
	w.remove("db")
	w.seen("db", "gone", func(s mirror.Seen) bool {
		return s.Copy == nil && s.Left && s.Fault == nil && s.Namespace == mirror.NamespaceUnknown
	})
	w.create(d)
	w.c.Warn(d.Key, "Denied", "for a test")
	w.until("the event", func() bool {
		list, err := w.real.Admin.CoreV1().Events(w.namespace).List(w.ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 1
	})
	// What a pattern grants is followed once it is asked for.
	two := d
	two.Namespace = w.namespace + "-two"
	if s := w.c.Look(two.Key); s.Fault == nil {
		t.Errorf("%+v", s)
	}
	w.until("followed", func() bool { return w.c.Look(two.Key).Fault == nil })
	w.create(two)
	w.must(w.real.Admin.CoreV1().Secrets(two.Namespace).Delete(w.ctx, "db", metav1.DeleteOptions{}))
	w.until("gone", func() bool { return w.c.Look(two.Key).Copy == nil })
	// Where we may not list we know nothing, and say so; nothing else suffers.
	refused := copies.Key{Namespace: w.namespace + "-refused", Name: "db"}
	var s mirror.Seen
	w.until("refused", func() bool { s = w.c.Look(refused); return s.Fault != nil && s.Fault.Reason == fault.ReasonForbidden })
	if !strings.Contains(s.Fault.Message, refused.Namespace) {
		t.Errorf("%q", s.Fault.Message)
	}
	w.grant(user, refused.Namespace)
	w.c.Reread()
	w.until("granted", func() bool { return w.c.Look(refused).Fault == nil })
	d.Key = refused
	w.create(d)
	w.until("told", func() bool { return w.told.all(refused.Namespace) > 0 })
	if n := w.told.all(""); n != 1 {
		t.Errorf("told %d times of everything", n)
	}
	// Nobody asked for more than that.
	events, err := w.real.Audited()
	w.must(err)
	for _, e := range events {
		if e.User == user && e.Namespace != "" && !strings.HasPrefix(e.Namespace, w.namespace) {
			t.Errorf("%+v", e)
		}
	}
}

func TestRightsByNamespaceWhereNamespacesMayBeListed(t *testing.T) {
	t.Parallel()
	var user string
	w := newWorld(t, func(w *world) {
		user = w.user()
		w.byNamespace(user, w.namespace)
		rbac := w.real.Admin.RbacV1()
		_, err := rbac.ClusterRoles().Create(w.ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user + "-namespaces"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get", "list", "watch"}},
		}}, metav1.CreateOptions{})
		w.must(err)
		_, err = rbac.ClusterRoleBindings().Create(w.ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user + "-namespaces"},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user + "-namespaces"}, Subjects: subject(user)}, metav1.CreateOptions{})
		w.must(err)
		w.config.Namespaces = []string{w.namespace + "*"}
		w.config.Interval = 300 * time.Millisecond
	}).up()
	w.create(w.desired("db", 1, "a=1"))
	// One that a pattern means appears, and is granted a moment later.
	late := copies.Key{Namespace: w.namespace + "-late", Name: "db"}
	if s := w.c.Look(late); s.Namespace != mirror.NamespaceMissing {
		t.Errorf("%+v", s)
	}
	w.must(w.real.CreateNamespace(w.ctx, late.Namespace))
	w.until("there", func() bool { return w.c.Look(late).Namespace == mirror.NamespaceThere })
	w.grant(user, late.Namespace)
	w.until("followed", func() bool { return w.c.Look(late).Fault == nil })
	d := w.desired("db", 1, "a=1")
	d.Key = late
	w.create(d)
	w.must(w.real.DeleteNamespace(w.ctx, late.Namespace))
	w.until("missing", func() bool { s := w.c.Look(late); return s.Namespace == mirror.NamespaceMissing && s.Copy == nil })

	// Later everything may be listed by one watch.
	rbac := w.real.Admin.RbacV1()
	_, err := rbac.ClusterRoleBindings().Create(w.ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user + "-all"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "secretsync"}, Subjects: subject(user)}, metav1.CreateOptions{})
	w.must(err)
	w.until("one watch", func() bool {
		return w.c.mirror.Everywhere() && w.c.Outage() == nil && w.c.Look(w.at("db")).Fault == nil
	})
	if w.c.Look(w.at("db")).Copy == nil {
		t.Error("the copy is not seen")
	}
	// And later not any more.
	w.must(rbac.ClusterRoleBindings().Delete(w.ctx, user+"-all", metav1.DeleteOptions{}))
	w.c.doubt(&refusal.Error{Kind: refusal.Unavailable})
	w.until("by namespace again", func() bool {
		w.c.doubt(&refusal.Error{Kind: refusal.Unavailable})
		return !w.c.mirror.Everywhere() && w.c.Outage() == nil
	})
}

func TestNoRightsAtAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.user(); w.config.Namespaces, w.config.Interval = []string{"default"}, time.Hour })
	var down *fault.Outage
	w.until("away", func() bool { down = w.c.Outage(); return down != nil && down.Reason == fault.ReasonForbidden })
	if !strings.Contains(down.Message, "allow get, list, watch, create, patch and delete on secrets") || strings.Contains(down.Message, w.namespace) {
		t.Errorf("%q", down.Message)
	}
}

func TestWhereNothingIsGrantedNoRightIsMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.byNamespace(w.user(), w.namespace); w.config.Interval = time.Hour }).up()
	if strings.Contains(w.logs.String(), "level=WARN") {
		t.Errorf("the log warns: %s", w.logs)
	}
	config := w.config
	config.Namespaces = []string{w.namespace}
	w.c.Configure(config)
	w.create(w.desired("db", 1, "a=1"))
	w.until("seen", func() bool { return w.c.Look(w.at("db")).Copy != nil })
}

func TestAClusterWhoseIdentityMayNotBeReadIsKnownByItsName(t *testing.T) {
	t.Parallel()
	var user string
	w := newWorld(t, func(w *world) {
		user = w.user()
		w.grant(user, w.namespace)
		w.config.Namespaces = []string{w.namespace}
		w.config.Interval = 300 * time.Millisecond
	}).up()
	if id := w.c.Identity(); id != "name:eu" {
		t.Errorf("identity %q", id)
	}
	d := w.desired("db", 1, "a=1")
	if r := w.create(d); !r.Intact {
		t.Errorf("%v", r)
	}
	// It may be read later: then the hash is of the name no longer.
	w.byNamespace(user)
	w.until("known", func() bool { return w.c.Outage() == nil && w.c.Identity() != "name:eu" })
	w.seen("db", "another cluster's", func(s mirror.Seen) bool { return s.Fault == nil && s.Copy != nil && !s.Copy.Intact })
}

func TestAPassingRefusalIsNoLackOfRights(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	// As a server does that has just started.
	proxy.Inject(devstack.Fault{Match: func(r *http.Request) bool { return true }, Status: http.StatusForbidden, Times: 4})
	w := newWorld(t, via(proxy)).up()
	if strings.HasPrefix(w.c.Identity(), "name:") {
		t.Error("the cluster is known by its name")
	}
	w.until("its namespaces", func() bool { return w.c.Look(w.at("db")).Namespace == mirror.NamespaceThere })
}

func TestAServerThatIsNotReadyIsNotTakenAtItsWord(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	refused := func(path string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.URL.Path == path }
	}
	proxy.Inject(devstack.Fault{Match: refused("/readyz"), Status: http.StatusInternalServerError})
	// Longer than the grace of one that is ready.
	proxy.Inject(devstack.Fault{Match: refused("/api/v1/namespaces/kube-system"), Status: http.StatusForbidden, Times: 8})
	w := newWorld(t, via(proxy)).up()
	if strings.HasPrefix(w.c.Identity(), "name:") {
		t.Error("the cluster is known by its name")
	}
	// What was known once is not given up for a refusal.
	identity := w.c.Identity()
	proxy.Clear()
	proxy.Inject(devstack.Fault{Match: refused("/api/v1/namespaces/kube-system"), Status: http.StatusForbidden})
	lost := w.told.all("")
	proxy.Inject(devstack.Fault{Match: isWatch, Status: 500, Times: 2})
	proxy.Disconnect()
	w.until("connected anew", func() bool {
		return w.told.all("") >= lost+2 && w.c.Outage() == nil
	})
	if w.c.Identity() != identity {
		t.Errorf("identity %s, was %s", w.c.Identity(), identity)
	}
}
