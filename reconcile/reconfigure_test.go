package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
	"secretsync/reconcile/sweep"
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
	w := newWorld(t, viaVault, via, withAppRole(time.Hour), func(w *world) { w.config.PollInterval = seldom })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.", "staging/.")
	w.synced("db")
	// Each target may have had the value read, and each time it was read is a LastSync.
	w.quiet(vault, 300*time.Millisecond)
	before := w.statusWhere("db", "Active", func(s status.Status) bool { return s.Phase == status.Active })
	logins, lists := requested(vault, isLogin), requested(cluster, isList)
	stop := w.never("db", "not Synced", func(s status.Target) bool { return s.State != fault.Synced })
	defer stop()

	cfg := w.config
	cfg.Tenants = []Tenant{w.config.Tenants[0]}
	cfg.Clusters = []Cluster{w.config.Clusters[0], w.config.Clusters[1]}
	for name, change := range map[string]func(){
		"nothing":            func() {},
		"the poll interval":  func() { cfg.PollInterval = 2 * seldom },
		"the tenant's":       func() { cfg.Tenants[0].PollInterval = 3 * seldom },
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
	w := newWorld(t, func(w *world) { w.config.PollInterval = seldom })
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
	w.statusWhere("db", "half", func(s status.Status) bool {
		return s.Targets[0].Reason == fault.ReasonClusterNotFound && s.Targets[1].Reason == fault.ReasonSynced
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
				if s.Phase != status.Failed || strings.Contains(s.Targets[0].Message, "/nowhere") {
					t.Errorf("%s: %+v", name, s)
				}
				if phase := w.r.Tenant(tenant.Name).Phase; phase != status.Failed {
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
		for end := time.Now().Add(deadline); w.r.Tenant(spec.Name).Phase == status.Pending; time.Sleep(10 * time.Millisecond) {
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
	// Longer than a test waits for anything: who waits for the vault is found out.
	patiently := func(w *world) { w.config.Tenants[0].Vault.Timeout = 2 * deadline }
	w := newWorld(t, via, withAppRole(time.Hour), patiently)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	cfg := w.config
	for range 20 {
		other := newWorldOn(t, w.stack, notRunning, via, patiently, func(w *world) { w.config.Tenants[0].Vault.AppRole = nil })
		spec := other.config.Tenants[0]
		spec.Vault.Token, spec.Vault.AppRole = "", w.config.Tenants[0].Vault.AppRole
		cfg.Tenants = append(cfg.Tenants[:len(cfg.Tenants):len(cfg.Tenants)], spec)
	}
	w.must(w.r.Reconfigure(cfg))
	for _, spec := range cfg.Tenants {
		for end := time.Now().Add(deadline); w.r.Tenant(spec.Name).Phase != status.Active; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %+v", spec.Name, w.r.Tenant(spec.Name))
			}
		}
	}
	// From here on the vault answers nothing.
	proxy.Inject(devstack.Fault{Drop: true})
	quick := func(what string, cfg Config) {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- w.r.Reconfigure(cfg) }()
		select {
		case err := <-done:
			w.must(err)
		case <-time.After(deadline):
			t.Fatalf("%s waits for the vault", what)
		}
	}
	changed := cfg
	changed.PollInterval = 5 * time.Second
	quick("another interval of all", changed)
	others := cfg
	others.Tenants = append([]Tenant(nil), cfg.Tenants...)
	for i := range others.Tenants {
		others.Tenants[i].Vault.Timeout += time.Duration(i+1) * time.Second
	}
	quick("another timeout of each", others)
	quick("the end of all but one", w.config)
	proxy.Clear()
	proxy.Disconnect()
	w.put("db", map[string]any{"a": "2"})
	w.holds("production/./db", map[string]string{"a": "2"})
}

func TestAPanicCostsOnePlaceAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.PollInterval = seldom })
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
		waited := make(chan error)
		go func() {
			_, _, err := a.r.Wait(a.ctx, b.tenant(), b.parse("db"), status.Failed)
			waited <- err
		}()
		a.must(a.r.Reconfigure(alone))
		if err := <-waited; !errors.Is(err, status.ErrLeft) || errors.Is(err, gitstore.ErrNotFound) {
			t.Errorf("who waits while it leaves: %v", err)
		}
		if _, _, err := a.r.Wait(a.ctx, b.tenant(), b.parse("db"), status.Active); !errors.Is(err, status.ErrLeft) {
			t.Errorf("who begins to wait for one that left: %v", err)
		}
		if _, err := a.r.Orphans(a.ctx, b.tenant()); err == nil || errors.Is(err, sweep.ErrNotYet) {
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

// joined has the tenants of two worlds be those of one reconciler, which runs.
func joined(t *testing.T, options ...func(*world)) (a, b *world) {
	t.Helper()
	a, b = newWorld(t, append(options, notRunning)...), newWorld(t, append(options, notRunning)...)
	a.config.Tenants = append(a.config.Tenants, b.config.Tenants...)
	a.ends = nil
	a.start()
	b.r = a.r
	return a, b
}

func TestATenantIsLeftAloneByWhatChangesForAnother(t *testing.T) {
	t.Parallel()
	stack := devstack.Shared(t)
	vault, viaVault := viaProxy(t, stack)
	cluster, viaCluster := productionVia(t, stack)
	other := newWorld(t, viaVault, withAppRole(time.Hour), notRunning)
	other.put("db", map[string]any{"a": "1"})
	other.define("db", "production/.")
	w := newWorld(t, viaCluster, withAppRole(time.Hour), func(w *world) {
		w.config.PollInterval = seldom
		w.config.Tenants = append(w.config.Tenants, other.config.Tenants[0])
	})
	other.r = w.r
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.", "staging/.")
	w.synced("db")
	other.synced("db")
	late := w.name + "-late"
	w.defineAt("late", "db", "production/"+late)
	w.status("late", fault.ReasonNamespaceNotFound)
	w.reachable()
	w.r.Reread() // so that files are looked at next when an interval is over
	w.quiet(vault, 300*time.Millisecond)
	w.quiet(cluster, 300*time.Millisecond)
	// Whoever is made to look at his files sees that, and logs in.
	w.must(os.WriteFile(other.config.Tenants[0].Vault.AppRole.SecretIDFile, []byte("another"), 0o600))
	version, asked, written := w.r.Version(other.tenant()), vault.Requests(), cluster.Requests()

	changed := w.config.Tenants[0]
	for _, c := range []struct {
		what   string
		change func()
		notice func()
	}{
		{"nothing", func() {}, func() {}},
		{"a namespace that it waits for", func() { w.must(stack.Cluster("production").CreateNamespace(w.ctx, late)) }, func() {
			w.synced("late")
			written++ // the copy
		}},
		{"its vault", func() { changed.Vault.Prefix += "/more" }, func() {
			w.statusWhere("db", "not there", func(s status.Status) bool { return s.Targets[0].Reason == fault.ReasonValueNotFound })
		}},
		{"its grants", func() {
			changed.Clusters = map[definition.ClusterName]Grant{w.cluster("staging"): changed.Clusters[w.cluster("staging")]}
		}, func() {
			w.statusWhere("db", "not registered", func(s status.Status) bool { return s.Targets[0].Reason == fault.ReasonClusterNotFound })
		}},
		{"that it is suspended", func() { changed.Suspend = true }, func() {
			w.statusWhere("db", "suspended", func(s status.Status) bool { return s.Targets[1].Reason == fault.ReasonSuspended })
		}},
	} {
		c.change()
		cfg := w.config
		cfg.Tenants = []Tenant{changed, other.config.Tenants[0]}
		w.must(w.r.Reconfigure(cfg))
		c.notice()
		if now := w.r.Version(other.tenant()); now != version {
			t.Errorf("%s: who waits for the other's status was told to look again %d times", c.what, now-version)
			version = now
		}
	}
	cfg := w.config
	cfg.Tenants = other.config.Tenants
	w.must(w.r.Reconfigure(cfg))
	w.must(w.r.Reconfigure(w.config))
	w.synced("db")
	if now := w.r.Version(other.tenant()); now != version {
		t.Errorf("its end and its beginning: who waits for the other's status was told to look again %d times", now-version)
	}
	if n := vault.Requests() - asked; n != 0 {
		t.Errorf("%d requests to the other's vault", n)
	}
	if n := cluster.Requests() - written; n != 0 {
		t.Errorf("%d requests to the cluster", n)
	}
}

// A copy that says that it goes with its target, and whose definition was removed while
// nobody worked for its tenant, is found to be nobody's as soon as nobody else wants its
// place.
func TestACopyIsToGoOnceAnotherTenantLetsGoOfItsPlace(t *testing.T) {
	t.Parallel()
	for name, letGo := range map[string]func(t *testing.T, holder *world, all Config){
		"it leaves": func(_ *testing.T, holder *world, all Config) {
			all.Tenants = all.Tenants[1:]
			holder.must(holder.r.Reconfigure(all))
		},
		"its grant narrows": func(_ *testing.T, holder *world, all Config) {
			all.Tenants = slices.Clone(all.Tenants)
			all.Tenants[0].Clusters = map[definition.ClusterName]Grant{holder.cluster("production"): {Cluster: "production", Namespaces: []string{holder.name}}}
			holder.must(holder.r.Reconfigure(all))
		},
		"its definition is removed": func(_ *testing.T, holder *world, _ Config) { holder.remove("wants") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			holder, w := joined(t)
			all := holder.config
			all.Tenants = slices.Clone(all.Tenants)
			all.Tenants[0].Clusters = map[definition.ClusterName]Grant{holder.cluster("production"): {Cluster: "production", Namespaces: []string{holder.name, w.name}}}
			holder.must(holder.r.Reconfigure(all))
			w.put("db", map[string]any{"a": "1"})
			w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one")})
			w.live("db", "one")

			alone := all
			alone.Tenants = all.Tenants[:1]
			holder.must(holder.r.Reconfigure(alone))
			w.remove("db")
			holder.put("wants", map[string]any{"a": "1"})
			holder.define("wants", "production/"+w.name+"/one")
			holder.status("wants", fault.ReasonNotOwned)
			holder.must(holder.r.Reconfigure(all))
			for end := time.Now().Add(deadline); w.r.Taken(w.tenant()) != w.repo.Snapshot(); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("its repository is not taken in")
				}
			}
			letGo(t, holder, all)
			w.until("production/./one", "nothing", gone)
		})
	}
}

func TestAGrantThatComesHasWhatWasLeftThereCleanedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one")})
	w.live("db", "one")
	cfg := w.config
	cfg.Tenants = slices.Clone(w.config.Tenants)
	cfg.Tenants[0].Clusters = maps.Clone(w.config.Tenants[0].Clusters)
	delete(cfg.Tenants[0].Clusters, w.cluster("production"))
	w.must(w.r.Reconfigure(cfg))
	w.remove("db")
	w.stay("one")
	// Changed in place: what is compared is not what the caller holds.
	cfg.Tenants[0].Clusters[w.cluster("production")] = w.config.Tenants[0].Clusters[w.cluster("production")]
	w.must(w.r.Reconfigure(cfg))
	w.until("production/./one", "nothing", gone)
}
