package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"secretsync/examples/devstack"
	"secretsync/gitstore/definition"
)

// isLogin tells a request that belongs to a login, or looks after one.
func isLogin(r *http.Request) bool { return strings.Contains(r.URL.Path, "/auth/") }

func isList(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/secrets")
}

func TestAReloadDisturbsNothingButWhatChanged(t *testing.T) {
	t.Parallel()
	stack := devstack.Shared(t)
	vault, viaVault := viaProxy(t, stack)
	cluster, via := productionVia(t, stack)
	w := newWorld(t, viaVault, via, withAppRole(time.Hour), func(w *world) { w.config.PollInterval = time.Hour })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.", "staging/.")
	w.synced("db")
	before := w.statusWhere("db", "Active", func(s Status) bool { return s.Phase == PhaseActive })
	logins, lists := requested(vault, isLogin), requested(cluster, isList)
	stop := w.never("db", "not Synced", func(s TargetStatus) bool { return s.State != Synced })
	defer stop()

	cfg := w.config
	cfg.Tenants = []Tenant{w.config.Tenants[0]}
	cfg.Clusters = []Cluster{w.config.Clusters[0], w.config.Clusters[1]}
	for name, change := range map[string]func(){
		"nothing":            func() {},
		"the poll interval":  func() { cfg.PollInterval = 2 * time.Hour },
		"the tenant's":       func() { cfg.Tenants[0].PollInterval = 3 * time.Hour },
		"the reads at once":  func() { cfg.Workers = 5 },
		"the writes at once": func() { cfg.Clusters[0].Writes = 3 },
		"the cluster's rate": func() { cfg.Clusters[0].QPS = 500 },
		"its timeouts":       func() { cfg.Clusters[0].Timeout, cfg.Clusters[0].ListTimeout = 6*time.Second, time.Minute },
		"another grant": func() {
			cfg.Tenants[0].Clusters = maps.Clone(cfg.Tenants[0].Clusters)
			cfg.Tenants[0].Clusters[w.cluster("more")] = Grant{Cluster: "staging", Namespaces: []string{"x"}}
		},
		"a wider grant": func() {
			cfg.Tenants[0].Clusters = maps.Clone(cfg.Tenants[0].Clusters)
			cfg.Tenants[0].Clusters[w.cluster("production")] = Grant{Cluster: "production", Namespaces: []string{w.name + "*", "y"}}
		},
		"the vault's timeout": func() { cfg.Tenants[0].Vault.Timeout = 7 * time.Second },
		"another cluster":     func() { cfg.Clusters = append(cfg.Clusters, Cluster{Name: "new", Kubeconfig: "/nowhere"}) },
	} {
		change()
		if err := w.r.Reconfigure(cfg); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.r.Reread()
	}
	time.Sleep(300 * time.Millisecond) // what would be disturbed is so at once
	stop()
	if n := logins.Load(); n != 0 {
		t.Errorf("%d requests about logins", n)
	}
	if n := lists.Load(); n != 0 {
		t.Errorf("%d listings and watches", n)
	}
	e, _ := w.repo.Snapshot().Get(w.parse("db"))
	if after := w.r.Status(w.tenant(), e); !after.Ready.LastTransition.Equal(before.Ready.LastTransition) || !after.Targets[0].LastSync.Equal(before.Targets[0].LastSync) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	w.edit("production/./db", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	w.holds("production/./db", map[string]string{"a": "1"})
}

func TestAChangedIntervalIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.PollInterval = time.Hour })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	w.put("db", map[string]any{"a": "2"})
	cfg := w.config
	cfg.PollInterval = time.Second
	w.must(w.r.Reconfigure(cfg))
	w.holds("production/./db", map[string]string{"a": "2"})
}

func TestAGrantThatGoesAndComesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.", "staging/.")
	w.synced("db")
	cfg := w.config
	cfg.Tenants = []Tenant{w.config.Tenants[0]}
	cfg.Tenants[0].Clusters = map[definition.ClusterName]Grant{w.cluster("staging"): w.config.Tenants[0].Clusters[w.cluster("staging")]}
	w.must(w.r.Reconfigure(cfg))
	w.statusWhere("db", "half", func(s Status) bool {
		return s.Targets[0].Reason == ReasonClusterNotFound && s.Targets[1].Reason == ReasonSynced
	})
	w.put("db", map[string]any{"a": "2"})
	w.holds("staging/./db", map[string]string{"a": "2"})
	w.holds("production/./db", map[string]string{"a": "1"})
	w.must(w.r.Reconfigure(w.config))
	w.holds("production/./db", map[string]string{"a": "2"})
	w.synced("db")
}

func TestWhatOneNeedsKeepsNobodyElseFromWorking(t *testing.T) {
	t.Parallel()
	stack := devstack.Shared(t)
	empty := filepath.Join(t.TempDir(), "empty.kubeconfig")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := func(w *world) {
		w.config.Clusters = append(w.config.Clusters, Cluster{Name: "unused", Kubeconfig: empty}, Cluster{Name: "absent", Kubeconfig: "/nowhere/kubeconfig"})
		for name, spoil := range map[string]func(*Vault){
			"lost-secret-id": func(v *Vault) { v.Token, v.AppRole = "", &AppRole{RoleID: "r", SecretIDFile: "/nowhere/secret-id"} },
			"lost-token":     func(v *Vault) { v.Token, v.TokenFile = "", "/nowhere/token" },
			"bad-ca":         func(v *Vault) { v.Address, v.CAFile = "https://127.0.0.1:1", empty },
			"lost-ca":        func(v *Vault) { v.Address, v.CAFile = "https://127.0.0.1:1", "/nowhere/ca" },
			"no-certificate": func(v *Vault) {
				v.Address, v.ClientCertFile, v.ClientKeyFile = "https://127.0.0.1:1", "/nowhere/crt", "/nowhere/key"
			},
		} {
			other := newWorldOn(t, stack, notRunning)
			other.define("db", "production/.")
			tenant := other.config.Tenants[0]
			spoil(&tenant.Vault)
			w.config.Tenants = append(w.config.Tenants, tenant)
			t.Cleanup(func() {
				e, _ := other.repo.Snapshot().Get(other.parse("db"))
				s := w.r.Status(tenant.Name, e)
				if s.Phase != PhaseFailed || strings.Contains(s.Targets[0].Message, "/nowhere") {
					t.Errorf("%s: %+v", name, s)
				}
				if phase := w.r.Tenant(tenant.Name).Phase; phase != PhaseFailed {
					t.Errorf("%s: the tenant is %s", name, phase)
				}
			})
		}
	}
	// From the start.
	w := newWorld(t, broken)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	for _, spec := range w.config.Tenants[1:] {
		for end := time.Now().Add(deadline); w.r.Tenant(spec.Name).Phase == PhasePending; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%+v", w.r.Tenant(spec.Name))
			}
		}
	}
	// At a reload.
	sound := newWorld(t)
	sound.put("db", map[string]any{"a": "1"})
	sound.define("db", "production/.")
	sound.synced("db")
	cfg := sound.config
	cfg.Clusters = append(cfg.Clusters[:2:2], Cluster{Name: "unused", Kubeconfig: empty})
	cfg.Tenants = append([]Tenant{sound.config.Tenants[0]}, w.config.Tenants[1])
	if err := sound.r.Reconfigure(cfg); err != nil {
		t.Error(err)
	}
	sound.put("db", map[string]any{"a": "2"})
	sound.holds("production/./db", map[string]string{"a": "2"})
	sound.synced("db")
}

func TestAReloadOfManyTenantsWaitsForNoVault(t *testing.T) {
	t.Parallel()
	proxy, via := viaProxy(t, devstack.Shared(t))
	w := newWorld(t, via, withAppRole(time.Hour))
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	cfg := w.config
	for range 20 {
		other := newWorldOn(t, w.stack, notRunning, via, func(w *world) { w.config.Tenants[0].Vault.AppRole = nil })
		spec := other.config.Tenants[0]
		spec.Vault.Token, spec.Vault.AppRole = "", w.config.Tenants[0].Vault.AppRole
		cfg.Tenants = append(cfg.Tenants[:len(cfg.Tenants):len(cfg.Tenants)], spec)
	}
	w.must(w.r.Reconfigure(cfg))
	for _, spec := range cfg.Tenants {
		for end := time.Now().Add(deadline); w.r.Tenant(spec.Name).Phase != PhaseActive; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %+v", spec.Name, w.r.Tenant(spec.Name))
			}
		}
	}
	// From here on the vault takes a second for everything.
	proxy.Inject(devstack.Fault{Delay: time.Second})
	quick := func(what string, cfg Config) {
		t.Helper()
		began := time.Now()
		w.must(w.r.Reconfigure(cfg))
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s took %s", what, took)
		}
	}
	changed := cfg
	changed.PollInterval = 5 * time.Second
	quick("another interval of all", changed)
	others := cfg
	others.Tenants = append([]Tenant(nil), cfg.Tenants...)
	for i := range others.Tenants {
		others.Tenants[i].Vault.Timeout = time.Duration(i+5) * time.Second
	}
	quick("another timeout of each", others)
	quick("the end of all but one", w.config)
	w.put("db", map[string]any{"a": "2"})
	w.holds("production/./db", map[string]string{"a": "2"})
}

func TestAPanicCostsOnePlaceAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.PollInterval = time.Hour })
	for _, name := range []string{"bad", "good"} {
		w.put(name, map[string]any{"a": "1"})
		w.define(name, "production/.")
		w.synced(name)
	}
	tenant := w.r.tenant(w.tenant())
	tenant.mu.RLock()
	x := tenant.definitions[w.parse("bad")].targets[0]
	tenant.mu.RUnlock()
	p := x.place.Load()
	p.mu.Lock()
	p.record.request = &request{by: x} // what no pass would leave behind
	p.mu.Unlock()
	w.edit("production/./bad", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	w.edit("production/./good", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	w.holds("production/./good", map[string]string{"a": "1"})
	w.holds("production/./bad", map[string]string{"a": "1"})
	w.synced("bad", "good")
	if log := w.logs.String(); !strings.Contains(log, "panicked") || !strings.Contains(log, "place.go") {
		t.Error("the log has no word, or no stack, of it")
	}
}

func TestATenantThatLeavesAndComesAgain(t *testing.T) {
	t.Parallel()
	a, b := newWorld(t, notRunning), newWorld(t, notRunning)
	a.config.Tenants = append(a.config.Tenants, b.config.Tenants...)
	a.ends = nil
	a.start()
	b.r = a.r
	b.put("db", map[string]any{"a": "1"})
	b.define("db", "production/.")
	b.synced("db")
	alone := a.config
	alone.Tenants = a.config.Tenants[:1]
	for i := range 5 {
		a.must(a.r.Reconfigure(alone))
		if _, _, err := a.r.Wait(a.ctx, b.tenant(), b.parse("db"), PhaseActive); err == nil {
			t.Error("it is waited for a tenant that left")
		}
		if _, err := a.r.Orphans(a.ctx, b.tenant()); err == nil || errors.Is(err, ErrNotYet) {
			t.Errorf("%v", err)
		}
		a.must(a.r.Reconfigure(a.config))
		b.put("db", map[string]any{"a": fmt.Sprint(i)})
		b.holds("production/./db", map[string]string{"a": fmt.Sprint(i)})
		b.synced("db")
	}
	if orphans := b.orphans(); len(orphans) > 0 {
		t.Errorf("%+v", orphans)
	}
}
