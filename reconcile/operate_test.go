package reconcile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/gitstoretest"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
	"secretsync/reconcile/sweep"
)

// Not parallel: it counts goroutines.
func TestRunEndsWhatItStarted(t *testing.T) {
	devstack.Shared(t)
	before := goleak.IgnoreCurrent()
	w := newWorld(t, withAppRole(time.Hour))
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.", "staging/.")
	w.synced("db")
	w.stop()
	w.must(w.store.Close())
	left := func() error {
		return goleak.Find(before,
			// Connections are pooled by the HTTP clients, of the test's too.
			goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
			goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
			goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"),
			goleak.IgnoreAnyFunction("net/http.(*http2ClientConn).readLoop"),
		)
	}
	// It looks again itself for less than two seconds.
	for end := time.Now().Add(deadline); ; {
		err := left()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestWaitAnswersAsSoonAsThePhaseIsReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.define("db", "production/.")
	ctx, cancel := context.WithTimeout(w.ctx, 300*time.Millisecond)
	defer cancel()
	_, s, err := w.r.Wait(ctx, w.tenant(), w.parse("db"), status.Active)
	if err != nil || s.Phase != status.Pending {
		t.Fatalf("%+v, %v", s, err)
	}
	answered := make(chan status.Status, 1)
	go func() {
		ctx, cancel := context.WithTimeout(w.ctx, deadline)
		defer cancel()
		_, s, _ := w.r.Wait(ctx, w.tenant(), w.parse("db"), status.Active)
		answered <- s
	}()
	w.put("db", map[string]any{"a": "1"})
	if s := <-answered; s.Phase != status.Active {
		t.Fatalf("%+v", s)
	}
	if _, _, err := w.r.Wait(w.ctx, w.tenant(), w.parse("none"), status.Active); !errors.Is(err, gitstore.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestOrphansAreListedAndRemovedOnlyAsListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"kept", "left", "edited", "claimed"} {
		w.put(name, map[string]any{"a": "1"})
		w.define(name, "production/.")
	}
	w.synced("kept", "left", "edited", "claimed")
	w.reachable() // orphans are told when all clusters were listed
	if orphans, err := w.r.Orphans(w.ctx, w.tenant()); err != nil || len(orphans) != 0 {
		t.Fatalf("%v, %v", orphans, err)
	}
	for _, name := range []string{"left", "edited", "claimed"} {
		w.remove(name)
	}
	w.statusWhere("kept", "orphans", func(status.Status) bool {
		orphans, err := w.r.Orphans(w.ctx, w.tenant())
		return err == nil && len(orphans) == 3
	})
	orphans, err := w.r.Orphans(w.ctx, w.tenant())
	w.must(err)
	byName := map[string]sweep.Orphan{}
	for _, o := range orphans {
		byName[o.Definition] = o
	}
	if o := byName["left"]; o.Namespace != w.namespace || o.Secret != "left" || o.Cluster.String() != "production" || o.VaultPath != "left" {
		t.Errorf("%+v", o)
	}
	w.must(w.r.RemoveOrphan(w.ctx, w.tenant(), byName["left"]))
	w.until("production/./left", "nothing", func(s *corev1.Secret) bool { return s == nil })
	w.edit("production/./edited", func(s *corev1.Secret) { s.Labels["theirs"] = "x" })
	if err := w.r.RemoveOrphan(w.ctx, w.tenant(), byName["edited"]); !errors.Is(err, gitstore.ErrConflict) {
		t.Errorf("one that changed: %v", err)
	}
	w.define("claimed", "production/.")
	w.statusWhere("claimed", "Active in the newest commit", func(s status.Status) bool {
		_, err := w.r.Orphans(w.ctx, w.tenant())
		return s.Phase == status.Active && err == nil
	})
	if err := w.r.RemoveOrphan(w.ctx, w.tenant(), byName["claimed"]); !errors.Is(err, gitstore.ErrConflict) {
		t.Errorf("one that is claimed again: %v", err)
	}
	if w.get("production/./edited") == nil || w.get("production/./claimed") == nil {
		t.Error("one was removed all the same")
	}
}

func TestALostRepositoryMakesNoOrphans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	repository := filepath.Join(w.dir, w.name+".git")
	branch := filepath.Join(repository, "refs/heads/main")
	for what, lose := range map[string]func() error{
		"a branch that can't be read, without the cache": func() error {
			return errors.Join(os.RemoveAll(filepath.Join(repository, "secretsync")), os.WriteFile(branch, []byte("no commit\n"), 0o644))
		},
		"a branch that is gone":     func() error { return os.Remove(branch) },
		"a repository that is gone": func() error { return os.RemoveAll(repository) },
		"a file in place of the folder": func() error {
			git := exec.Command("git", "--git-dir", repository, "fast-import", "--quiet")
			git.Stdin = strings.NewReader("commit refs/heads/main\ncommitter P <p@example.org> 1800000000 +0000\ndata 2\nx\nfrom refs/heads/main^0\ndeleteall\nM 100644 inline secrets\ndata 2\nhi\n")
			return git.Run()
		},
	} {
		saved := filepath.Join(t.TempDir(), "saved")
		w.restart(func() error {
			return errors.Join(exec.Command("cp", "-r", repository, saved).Run(), lose())
		})
		// Once the clusters were listed nothing but the repository keeps it from telling.
		w.reachable()
		if orphans, err := w.r.Orphans(w.ctx, w.tenant()); !errors.Is(err, sweep.ErrNotYet) {
			t.Errorf("%s: %v, %v", what, orphans, err)
		}
		w.restart(func() error {
			return errors.Join(os.RemoveAll(repository), os.Rename(saved, repository))
		})
	}
	w.synced("db")
	w.statusWhere("db", "that there are no orphans", func(status.Status) bool {
		orphans, err := w.r.Orphans(w.ctx, w.tenant())
		return err == nil && len(orphans) == 0
	})
}

func TestReconfigureDisturbsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	a, b := newWorld(t, notRunning), newWorld(t, notRunning)
	a.ends = nil
	a.start()
	a.put("db", map[string]any{"a": "1"})
	a.define("db", "production/.")
	a.define("more", "staging/.", "spare/.")
	a.put("more", map[string]any{"a": "1"})
	a.synced("db")
	same := a.r.tenant(a.tenant())

	// Another tenant joins.
	cfg := a.config
	cfg.Tenants = append(cfg.Tenants[:1:1], b.config.Tenants...)
	a.must(a.r.Reconfigure(cfg))
	b.r = a.r
	b.put("db", map[string]any{"a": "1"})
	b.define("db", "production/.")
	b.synced("db")
	if a.r.tenant(a.tenant()) != same {
		t.Error("a tenant whose configuration is the same was begun anew")
	}

	// A cluster is registered for the first, under the name its target has.
	a.statusWhere("more", "ClusterNotFound", func(s status.Status) bool { return s.Targets[1].Reason == fault.ReasonClusterNotFound })
	cfg.Clusters = append(cfg.Clusters[:len(cfg.Clusters):len(cfg.Clusters)], Cluster{Name: "spare", Kubeconfig: cfg.Clusters[0].Kubeconfig})
	first := cfg.Tenants[0]
	first.Clusters = map[definition.ClusterName]Grant{a.cluster("spare"): {Cluster: "spare", Namespaces: []string{"*"}}}
	for alias, g := range a.config.Tenants[0].Clusters {
		first.Clusters[alias] = g
	}
	cfg.Tenants = []Tenant{first, cfg.Tenants[1]}
	a.must(a.r.Reconfigure(cfg))
	a.synced("more", "db")
	a.holds("production/./more", map[string]string{"a": "1"})

	// A mistake changes nothing.
	wrong := cfg
	wrong.Tenants = append(wrong.Tenants[:2:2], Tenant{Name: a.tenant(), Repository: a.repo})
	if err := a.r.Reconfigure(wrong); err == nil {
		t.Error("a tenant listed twice is taken")
	}
	a.synced("db")

	// The second leaves: nothing of it is synced any more.
	cfg.Tenants = cfg.Tenants[:1]
	a.must(a.r.Reconfigure(cfg))
	b.put("db", map[string]any{"a": "2"})
	b.delete("production/./db")
	v := a.put("db", map[string]any{"a": "2"})
	a.statusWhere("db", "the next version", func(s status.Status) bool { return s.Phase == status.Active && s.Targets[0].VaultVersion == v })
	if b.get("production/./db") != nil {
		t.Error("it was synced for a tenant that left")
	}
}

func TestARestartWritesNothingAndReadsNoValueThatIsRight(t *testing.T) {
	t.Parallel()
	proxy, via := productionVia(t, devstack.Shared(t))
	vault, viaVault := viaProxy(t, devstack.Shared(t))
	w := newWorld(t, via, viaVault)
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("db-%d", i))
		w.put(names[i], map[string]any{"a": "1"})
		w.define(names[i], "production/.")
	}
	w.synced(names...)
	w.stop()
	w.config.PollInterval = seldom
	// How often it lists, watches and reads metadata depends on what is answered
	// first; no copy and no value need be asked for by itself.
	ofCopies := requested(proxy, func(r *http.Request) bool { return isWrite(r) || strings.Contains(r.URL.Path, "/secrets/") })
	values := requested(vault, isValue)
	w.start()
	w.synced(names...)
	if n := ofCopies.Load(); n != 0 {
		t.Errorf("%d writes, and reads of single copies", n)
	}
	if n := values.Load(); n != 0 {
		t.Errorf("%d reads of values", n)
	}
}

func TestNoValueIsSaidAnywhere(t *testing.T) {
	t.Parallel()
	const canary = "canary-7f3d9b"
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(w *world) { w.config.Metrics = registry })
	w.put("db", map[string]any{"password": canary})
	w.put("bad", map[string]any{"not/allowed": canary})
	w.define("db", "production/.")
	w.define("bad", "production/.")
	w.synced("db")
	bad := w.status("bad", fault.ReasonInvalidKey)
	w.edit("production/./db", func(s *corev1.Secret) { s.Data["password"] = []byte(canary + "-edited") })
	w.holds("production/./db", map[string]string{"password": canary})
	w.put("db", map[string]any{"password": canary + "2"})
	s := w.holds("production/./db", map[string]string{"password": canary + "2"})
	said := fmt.Sprintf("%v %v %v %+v", s.Labels, s.Annotations, w.logs, bad)
	if strings.Contains(said, canary) {
		t.Errorf("the value is in a label, an annotation, the log or a status:\n%s", said)
	}
	families, err := registry.Gather()
	w.must(err)
	if strings.Contains(fmt.Sprint(families), canary) {
		t.Error("the value is in a metric")
	}
	if len(families) < 10 {
		t.Errorf("only %d metrics", len(families))
	}
	events, err := w.stack.Cluster("production").Admin.CoreV1().Events(w.namespace).List(w.ctx, metav1.ListOptions{})
	w.must(err)
	for _, e := range events.Items {
		if strings.Contains(e.String(), canary) {
			t.Errorf("the value is in an event: %s", e.Message)
		}
	}
}

func TestUsersOfTheClusterAreToldByEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("value", map[string]any{"a": "1"})
	secret := func(name string) {
		w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"a": "theirs"}})
	}
	want := map[string]fault.Reason{"foreign": fault.ReasonNotOwned, "shared": fault.ReasonKeyConflict, "keyless": fault.ReasonKeyNotFound, "failing": fault.ReasonTemplateFailed}
	secret("foreign")
	secret("shared")
	events, err := w.stack.Cluster("production").Admin.CoreV1().Events(w.namespace).Watch(w.ctx, metav1.ListOptions{ResourceVersion: "0"})
	w.must(err)
	defer events.Stop()
	says := map[string]string{"foreign": "", "shared": "mode: Merge\ndata: {a: {key: a}}\n", "keyless": "data: {k: {key: none}}\n", "failing": "data: {k: {template: '{{ .none }}'}}\n"}
	files := make(map[string]*string)
	for name, more := range says {
		files[fileOf(name)] = new(strings.Replace(*w.yaml(name, more, name), "secretPath: "+name, "secretPath: value", 1))
	}
	w.push(files)
	for end := time.After(deadline); len(want) > 0; {
		select {
		case e := <-events.ResultChan():
			event := e.Object.(*corev1.Event)
			name := event.InvolvedObject.Name
			if reason, ok := want[name]; ok && (event.Reason != string(reason) || event.InvolvedObject.Kind != "Secret") {
				t.Errorf("%+v", event)
			}
			delete(want, name)
		case <-end:
			t.Fatalf("no event says %v", want)
		}
	}
}

func TestAConfigurationThatCantWorkIsRefused(t *testing.T) {
	alias, _ := definition.ParseClusterName("production")
	repo := gitstoretest.MustOpen(t, gitstore.Config{}).MustRepository("acme").Repository
	tenant := repo.Tenant()
	good := func() Config {
		return Config{
			HashKey:  testKey,
			Clusters: []Cluster{{Name: "eu"}},
			Tenants: []Tenant{{Name: tenant, Repository: repo, Vault: Vault{Address: "https://vault:8200", Mount: "secret", Token: "t"},
				Clusters: map[definition.ClusterName]Grant{alias: {Cluster: "eu"}}}},
		}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"a short hash key":            func(c *Config) { c.HashKey = []byte("short") },
		"two clusters of one name":    func(c *Config) { c.Clusters = append(c.Clusters, c.Clusters[0]) },
		"two tenants of one name":     func(c *Config) { c.Tenants = append(c.Tenants, c.Tenants[0]) },
		"a tenant without repository": func(c *Config) { c.Tenants[0].Repository = nil },
		"a grant on no cluster": func(c *Config) {
			c.Tenants[0].Clusters = map[definition.ClusterName]Grant{alias: {Cluster: "us"}}
		},
		"a malformed pattern": func(c *Config) {
			c.Tenants[0].Clusters = map[definition.ClusterName]Grant{alias: {Cluster: "eu", Namespaces: []string{"[a"}}}
		},
		"no login":           func(c *Config) { c.Tenants[0].Vault.Token = "" },
		"two logins":         func(c *Config) { c.Tenants[0].Vault.TokenFile = "f" },
		"no mount":           func(c *Config) { c.Tenants[0].Vault.Mount = "/" },
		"a mount that leads": func(c *Config) { c.Tenants[0].Vault.Mount = "secret/../other" },
		"a prefix that leads": func(c *Config) {
			c.Tenants[0].Vault.Prefix = "../other"
		},
		"a vault address without scheme": func(c *Config) { c.Tenants[0].Vault.Address = "vault:8200" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			spoil(&cfg)
			if _, err := New(cfg); err == nil {
				t.Error("it was taken")
			}
		})
	}
}

func TestAFloodOfOneTenantAndAnothersWorkBothEnd(t *testing.T) {
	t.Parallel()
	flood, other := newWorld(t, notRunning), newWorld(t, notRunning)
	flood.config.Tenants = append(flood.config.Tenants, other.config.Tenants...)
	other.put("db", map[string]any{"a": "1"})
	files := make(map[string]*string)
	const count = 1000
	for i := range count {
		yaml := fmt.Sprintf("name: db-%d\nsecretPath: path-%d\nsync:\n  - {cluster: production, namespace: %s}\n", i, i, flood.namespace)
		files[fmt.Sprintf("secrets/db-%d.yaml", i)] = &yaml
		if i%50 == 0 {
			flood.put(fmt.Sprintf("path-%d", i), map[string]any{"a": "1"})
		}
	}
	flood.push(files)
	other.define("db", "production/.")
	flood.ends = nil
	flood.start()
	other.r = flood.r
	// In which order they come the tests of the queue say: here, who is written
	// first depends on how fast the API server answers whom.
	other.synced("db")
	flood.statusWhere(fmt.Sprintf("db-%d", count-1), "an end", func(s status.Status) bool { return s.Targets[0].Reason != fault.ReasonQueued })
}
