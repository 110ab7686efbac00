package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/gitstoretest"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/status"
	"secretsync/reconcile/sweep"
)

// alias grants a tenant a cluster by one more name, which is registered by one
// more name as well: two ways to one API server.
func (w *world) alias(name, cluster string) {
	for _, c := range w.config.Clusters {
		if c.Name == cluster {
			twin := c
			twin.Name = name + "-twin"
			w.config.Clusters = append(w.config.Clusters, twin)
			w.config.Tenants[0].Clusters[w.cluster(name)] = Grant{Cluster: twin.Name, Namespaces: []string{w.name + "*"}}
			return
		}
	}
}

// orphans waits until they can be told.
func (w *world) orphans() []sweep.Orphan {
	w.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		orphans, err := w.r.Orphans(w.ctx, w.tenant())
		switch {
		case err == nil:
			return orphans
		case !errors.Is(err, sweep.ErrNotYet):
			w.t.Fatal(err)
		case time.Now().After(end):
			w.t.Fatalf("orphans can't be told: %v", err)
		}
	}
}

// cleanUp deletes what is listed, as the command with --delete does, and returns
// what went.
func (w *world) cleanUp() (removed []string) {
	w.t.Helper()
	for _, o := range w.orphans() {
		if err := w.r.RemoveOrphan(w.ctx, w.tenant(), o); err == nil {
			removed = append(removed, o.Place())
		} else if !errors.Is(err, gitstore.ErrConflict) {
			w.t.Error(err)
		}
	}
	return removed
}

func TestNoLiveCopyIsAnOrphanDuringAReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("db-%d", i))
		w.put(names[i], map[string]any{"a": "1"})
		w.define(names[i], "production/.", "staging/.")
	}
	w.synced(names...)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if orphans, err := w.r.Orphans(w.ctx, w.tenant()); len(orphans) > 0 {
				t.Errorf("%d live copies are listed, such as %+v", len(orphans), orphans[0])
				return
			} else if err != nil && !errors.Is(err, sweep.ErrNotYet) {
				t.Error(err)
				return
			}
		}
	}()
	for i := range 30 {
		cfg := w.config
		cfg.PollInterval = time.Duration(i+1) * time.Second
		cfg.Tenants = []Tenant{w.config.Tenants[0]}
		switch i % 5 {
		case 1:
			cfg.Tenants[0].Vault.Timeout = time.Duration(i+2) * time.Second
		case 2:
			cfg.Tenants[0].Vault.Address = "http://127.0.0.1:1"
		case 3:
			cfg.Clusters = []Cluster{cfg.Clusters[0], cfg.Clusters[1]}
			cfg.Clusters[0].Writes, cfg.Clusters[0].Timeout = i, time.Duration(i)*time.Second
		case 4:
			grants := maps.Clone(cfg.Tenants[0].Clusters)
			grants[w.cluster("production")] = Grant{Cluster: "production", Namespaces: []string{w.name}}
			cfg.Tenants[0].Clusters = grants
		}
		w.must(w.r.Reconfigure(cfg))
	}
	close(stop)
	<-ended
	if removed := w.cleanUp(); len(removed) > 0 {
		t.Errorf("deleted: %v", removed)
	}
	for _, name := range names {
		w.holds("production/./"+name, map[string]string{"a": "1"})
	}
}

// mirrored is a repository that is a mirror of another, and says how fresh it is.
type mirrored struct {
	Repository
	fresh *atomic.Pointer[gitstore.Freshness]
}

func (m mirrored) Freshness() gitstore.Freshness { return *m.fresh.Load() }

func TestWhileAMirrorMayBeOldNothingIsAnOrphan(t *testing.T) {
	t.Parallel()
	fresh := new(atomic.Pointer[gitstore.Freshness])
	of := gitstore.Freshness{Remote: "https://forge.example.com/acme.git", Confirmed: true}
	fresh.Store(&of)
	w := newWorld(t, func(w *world) { w.config.Tenants[0].Repository = mirrored{w.repo, fresh} })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	w.remove("db")
	w.statusWhereOrphan("production/"+w.namespace+"/db", "")
	for _, old := range []gitstore.Freshness{
		{Remote: of.Remote}, {Remote: of.Remote, Confirmed: true, Failing: gitstore.ErrUnavailable},
	} {
		fresh.Store(&old)
		if orphans, err := w.r.Orphans(t.Context(), w.tenant()); !errors.Is(err, sweep.ErrNotYet) {
			t.Errorf("%+v: %v, %v", old, orphans, err)
		}
	}
	fresh.Store(&of)
	if removed := w.cleanUp(); len(removed) != 1 {
		t.Errorf("deleted: %v", removed)
	}
}

func TestOneClusterByTwoNamesIsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.alias("twin", "production") })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	w.put("two", map[string]any{"a": "1"})
	w.define("two", "production/.", "twin/.")
	s := w.statusWhere("two", "a conflict", func(s status.Status) bool {
		return s.Targets[0].Reason == fault.ReasonSynced && s.Targets[1].Reason == fault.ReasonTargetConflict
	})
	if m := s.Targets[1].Message; !strings.Contains(m, "by the name of cluster production") {
		t.Errorf("%q", m)
	}
	before := w.get("production/./two").ResourceVersion
	if orphans := w.orphans(); len(orphans) != 0 {
		t.Errorf("live copies are listed: %+v", orphans)
	}
	// Each orphan is there once, and deleted once.
	w.remove("db")
	w.statusWhere("two", "an orphan", func(status.Status) bool { orphans := w.orphans(); return len(orphans) == 1 })
	if removed := w.cleanUp(); len(removed) != 1 {
		t.Errorf("deleted: %v", removed)
	}
	w.until("production/./db", "nothing", func(s *corev1.Secret) bool { return s == nil })
	if now := w.get("production/./two"); now == nil || now.ResourceVersion != before {
		t.Error("the two names wrote against each other")
	}
}

func TestTwoTenantsByTwoNamesOfOneClusterDontFight(t *testing.T) {
	t.Parallel()
	a := newWorld(t, notRunning)
	b := newWorld(t, notRunning)
	a.alias("twin", "production")
	a.config.Tenants = append(a.config.Tenants, b.config.Tenants...)
	a.config.Tenants[1].Clusters = map[definition.ClusterName]Grant{a.cluster("elsewhere"): {Cluster: "twin-twin", Namespaces: []string{a.namespace}}}
	a.ends = nil
	a.start()
	b.r = a.r
	a.put("db", map[string]any{"a": "of a"})
	b.put("db", map[string]any{"a": "of b"})
	a.define("db", "production/.")
	a.synced("db")
	b.define("db", "elsewhere/"+a.namespace)
	b.status("db", fault.ReasonTargetConflict)
	a.synced("db")
	a.holds("production/./db", map[string]string{"a": "of a"})
}

func TestAnAliasThatIsRenamedMakesNoOrphans(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.alias("twin", "production") })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	cfg := w.config
	cfg.Tenants = []Tenant{w.config.Tenants[0]}
	cfg.Tenants[0].Clusters = map[definition.ClusterName]Grant{
		w.cluster("eu"):   {Cluster: "production", Namespaces: []string{w.name + "*"}},
		w.cluster("twin"): {Cluster: "twin-twin", Namespaces: []string{w.name + "*"}},
	}
	w.must(w.r.Reconfigure(cfg))
	w.status("db", fault.ReasonClusterNotFound)
	if orphans := w.orphans(); len(orphans) != 0 {
		t.Errorf("%+v", orphans)
	}
	// A grant that is taken away by one name, and stands by another.
	cfg.Tenants[0].Clusters[w.cluster("production")] = Grant{Cluster: "production", Namespaces: []string{"other"}}
	w.must(w.r.Reconfigure(cfg))
	w.status("db", fault.ReasonNamespaceNotAllowed)
	if orphans := w.orphans(); len(orphans) != 0 {
		t.Errorf("%+v", orphans)
	}
	w.must(w.r.Reconfigure(w.config))
	w.synced("db")
}

func TestWhatPeopleMadeOfACopyIsNeverDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	for _, cluster := range []string{"production", "staging"} {
		w.must(w.stack.Cluster(cluster).CreateNamespace(w.ctx, w.namespace+"-2"))
	}
	original := w.get("production/./db")
	copied := func(namespace, name string, change func(*corev1.Secret)) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: maps.Clone(original.Labels), Annotations: maps.Clone(original.Annotations)}, Data: maps.Clone(original.Data)}
		if change != nil {
			change(s)
		}
		return s
	}
	w.create("production", copied(w.namespace+"-2", "db", nil))
	w.create("production", copied(w.namespace+"-2", "changed", func(s *corev1.Secret) { s.Data["a"] = []byte("mine") }))
	w.create("production", copied(w.namespace, "renamed", nil))
	w.create("production", copied(w.namespace+"-2", "unhashed", func(s *corev1.Secret) { delete(s.Annotations, copies.AnnotationHash) }))
	w.create("staging", copied(w.namespace, "db", nil))
	w.statusWhere("db", "five listed", func(status.Status) bool { return len(w.orphans()) == 5 })
	for _, o := range w.orphans() {
		if o.Doubt == "" {
			t.Errorf("it is taken for ours: %+v", o)
		}
		if err := w.r.RemoveOrphan(w.ctx, w.tenant(), o); !errors.Is(err, gitstore.ErrConflict) || !strings.Contains(err.Error(), "not proven") {
			t.Errorf("%v", err)
		}
	}
	// Its own orphan, edited by somebody after the target was removed.
	w.remove("db")
	w.statusWhereOrphan("production/"+w.namespace+"/db", "")
	w.edit("production/./db", func(s *corev1.Secret) { s.Data["a"] = []byte("mine") })
	w.statusWhereOrphan("production/"+w.namespace+"/db", "hash does not hold")
	if removed := w.cleanUp(); len(removed) > 0 {
		t.Errorf("deleted: %v", removed)
	}
}

// statusWhereOrphan waits until an orphan is listed with a doubt that says so;
// none with "".
func (w *world) statusWhereOrphan(place, doubt string) {
	w.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		orphans := w.orphans()
		for _, o := range orphans {
			if o.Place() == place && (o.Doubt == "") == (doubt == "") && strings.Contains(o.Doubt, doubt) {
				return
			}
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s is not listed with doubt %q: %+v", place, doubt, orphans)
		}
	}
}

func TestAnotherServersCopiesAreNoOrphans(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"with the same hash key": string(testKey), "with another hash key": "another key of sixteen bytes"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newWorld(t)
			a.put("db", map[string]any{"a": "1"})
			a.define("db", "production/.")
			a.synced("db")
			// Another server with the same tenant, whose repository is its own.
			b := *a
			b.t, b.logs, b.ends = t, &testlog.Log{}, nil
			b.config.Tenants = []Tenant{a.config.Tenants[0]}
			b.config.HashKey = []byte(key)
			b.repo = gitstoretest.MustOpen(t, gitstore.Config{Dir: t.TempDir()}).MustRepository(a.name)
			b.config.Tenants[0].Repository = b.repo.Repository
			b.define("other", "production/.")
			b.put("other", map[string]any{"a": "1"})
			b.start()
			t.Cleanup(b.stop)
			b.synced("other")
			orphans := b.orphans()
			if len(orphans) != 1 || orphans[0].Secret != "db" || orphans[0].Doubt == "" {
				t.Errorf("%+v", orphans)
			}
			if removed := b.cleanUp(); len(removed) > 0 {
				t.Errorf("deleted: %v", removed)
			}
			a.holds("production/./db", map[string]string{"a": "1"})
		})
	}
}

func TestAForcePushMakesNoOrphans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("kept", map[string]any{"a": "1"})
	w.define("kept", "production/.")
	w.synced("kept")
	before := w.repo.Snapshot().Head()
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	last := w.repo.Snapshot().Head()
	// History without the commit that added it.
	w.repo.MustGit("update-ref", "refs/heads/main", before.String())
	w.statusWhereOrphan("production/"+w.namespace+"/db", "not in the history")
	if removed := w.cleanUp(); len(removed) > 0 {
		t.Errorf("deleted: %v", removed)
	}
	// With it again, and removed by a commit, it is one.
	w.repo.MustGit("update-ref", "refs/heads/main", last.String())
	w.synced("db")
	w.remove("db")
	w.statusWhereOrphan("production/"+w.namespace+"/db", "")
	if removed := w.cleanUp(); len(removed) != 1 {
		t.Errorf("deleted: %v", removed)
	}
	w.holds("production/./kept", map[string]string{"a": "1"})
}

// What a definition left behind is the tenant's, whoever of it claims the place
// next, though a person took the tenant's label away meanwhile: the hash proves it.
func TestWhatAnotherDefinitionLeftBehindIsTakenOverWithoutItsLabel(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*corev1.Secret){
		"the tenant's label":   func(s *corev1.Secret) { delete(s.Labels, copies.LabelTenant) },
		"the managed-by label": func(s *corev1.Secret) { delete(s.Labels, copies.LabelManagedBy) },
		"both":                 func(s *corev1.Secret) { delete(s.Labels, copies.LabelTenant); delete(s.Labels, copies.LabelManagedBy) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put("first", map[string]any{"k": "1"})
			w.put("second", map[string]any{"k": "2"})
			w.define("first", "production/./shared")
			w.synced("first")
			w.remove("first")
			w.edit("production/./shared", spoil)
			w.define("second", "production/./shared")
			w.holds("production/./shared", map[string]string{"k": "2"})
			w.synced("second")
		})
	}
}

// A definition that comes to share its Secret, or to fill it as a whole, claims it all the
// while, also where it is held up: what it has of it is nobody's to clean up.
func TestWhatADefinitionHasOfASecretIsNoOrphanWhileItsModeChanges(t *testing.T) {
	t.Parallel()
	selects := func(w *world) *string {
		return new(fmt.Sprintf("name: db\nsecretPath: db\nmode: Merge\ndata: {missing: {key: missing}}\nsync: [{cluster: production, namespaceSelector: {matchLabels: {team: %q}}, secretName: app}]\n", w.name))
	}
	for name, c := range map[string]struct {
		before, after func(w *world) *string
		reason        fault.Reason
	}{
		"to share it, by a key that is missing": {
			func(w *world) *string { return w.yaml("db", "", "app") },
			func(w *world) *string { return w.merging("db", "", "missing") }, fault.ReasonKeyNotFound,
		},
		"the same, in a namespace that it selects": {
			func(w *world) *string { return w.yaml("db", "", "app") }, selects, fault.ReasonKeyNotFound,
		},
		"to share it, suspended": {
			func(w *world) *string { return w.yaml("db", "", "app") },
			func(w *world) *string { return w.merging("db", "suspend: true\n", "a") }, fault.ReasonSuspended,
		},
		"to fill it, suspended": {
			func(w *world) *string { return w.merging("db", "", "a") },
			func(w *world) *string { return w.yaml("db", "suspend: true\n", "app") }, fault.ReasonSuspended,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.label("production", w.namespace, `{"team":"`+w.name+`"}`)
			w.put("db", map[string]any{"a": "1"})
			w.push(map[string]*string{fileOf("db"): c.before(w)})
			w.live("db", "app")
			w.push(map[string]*string{fileOf("db"): c.after(w)})
			w.stands("db", "/"+string(c.reason))
			if removed := w.cleanUp(); len(removed) > 0 {
				t.Errorf("deleted: %v", removed)
			}
			w.app(map[string]string{"a": "1"})
			w.remove("db") // then it is one
			w.statusWhereOrphan("production/"+w.namespace+"/app", "")
		})
	}
}
