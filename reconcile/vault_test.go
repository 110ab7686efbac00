package reconcile

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slices"

	vaultapi "github.com/hashicorp/vault/api"

	"secretsync/examples/devstack"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// viaProxy puts a proxy in front of a world's vault.
func viaProxy(t *testing.T, stack *devstack.Stack) (*devstack.Proxy, func(*world)) {
	t.Helper()
	p, err := stack.Vault.Proxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, func(w *world) { w.config.Tenants[0].Vault.Address = p.URL }
}

// requested counts from now on the requests through a proxy that match.
func requested(p *devstack.Proxy, match func(*http.Request) bool) *atomic.Int64 {
	n := new(atomic.Int64)
	p.Inject(devstack.Fault{Match: func(r *http.Request) bool {
		if match(r) {
			n.Add(1)
		}
		return false // it befalls none
	}})
	return n
}

// isValue tells a read of a value: metadata are read more often, such as by a
// unit that is woken again while it is worked on.
func isValue(r *http.Request) bool { return strings.Contains(r.URL.Path, "/data/") }

// quiet waits until no request has come for a while, over some looks: a machine that stood still for so long
// had nothing come either.
func (w *world) quiet(p *devstack.Proxy, while time.Duration) {
	w.t.Helper()
	last, since, looks := p.Requests(), time.Now(), 0
	for end := time.Now().Add(deadline); looks < 10 || time.Since(since) < while; time.Sleep(10 * time.Millisecond) {
		looks++
		if n := p.Requests(); n != last {
			last, since, looks = n, time.Now(), 0
		}
		if time.Now().After(end) {
			w.t.Fatalf("there is no end to the requests; %d so far", last)
		}
	}
}

// withAppRole lets a world log in by AppRole, with tokens that live so long.
func withAppRole(lifetime time.Duration) func(*world) {
	return func(w *world) {
		w.t.Helper()
		w.must(w.stack.Vault.ReadPolicy(w.ctx, w.name, "secret", w.name))
		role, secret, err := w.stack.Vault.AppRole(w.ctx, w.name, lifetime, w.name)
		w.must(err)
		file := filepath.Join(w.t.TempDir(), "secret-id")
		w.must(os.WriteFile(file, []byte(secret), 0o600))
		v := &w.config.Tenants[0].Vault
		v.Token, v.AppRole = "", &AppRole{RoleID: role, SecretIDFile: file}
	}
}

func TestAnAppRoleIsLoggedInOnceAndItsTokenRenewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withAppRole(3*time.Second), notRunning)
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("db-%d", i))
		w.put(names[i], map[string]any{"a": "1"})
		w.define(names[i], "production/.")
	}
	w.ends = nil
	w.start()
	w.synced(names...)
	began := time.Now()
	// It outlives its first lifetime several times over.
	for time.Since(began) < 8*time.Second {
		v := w.put("db-0", map[string]any{"a": time.Now().String()})
		w.statusWhere("db-0", "the next version", func(s status.Status) bool { return s.Targets[0].VaultVersion == v })
	}
	if n := strings.Count(w.logs.String(), `msg="vault unusable"`); n > 0 {
		t.Errorf("the vault was unusable %d times", n)
	}
}

func TestARevokedTokenIsReplacedByOneLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withAppRole(time.Hour))
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	before := w.accessors()
	for accessor := range before {
		w.must(w.stack.Vault.Client.Auth().Token().RevokeAccessor(accessor))
	}
	w.put("db", map[string]any{"a": "2"})
	w.holds("production/./db", map[string]string{"a": "2"})
	w.synced("db")
	if after := w.accessors(); len(after) != 1 {
		t.Errorf("%d tokens live", len(after))
	}
}

// accessors are those of the tokens that the world's AppRole has now.
func (w *world) accessors() map[string]bool {
	w.t.Helper()
	list, err := w.stack.Vault.Client.Logical().ListWithContext(w.ctx, "auth/token/accessors")
	w.must(err)
	mine := make(map[string]bool)
	for _, a := range list.Data["keys"].([]any) {
		token, err := w.stack.Vault.Client.Auth().Token().LookupAccessor(a.(string))
		if err != nil {
			continue // it ended meanwhile
		}
		if policies, _ := token.TokenPolicies(); slices.Contains(policies, w.name) {
			mine[a.(string)] = true
		}
	}
	return mine
}

func TestAKubernetesServiceAccountLogsIn(t *testing.T) {
	t.Parallel()
	stack := devstack.Shared(t)
	w := newWorldOn(t, stack, func(w *world) {
		staging := stack.Cluster("staging")
		w.must(stack.Vault.KubernetesAuth(w.ctx, staging))
		w.must(stack.Vault.ReadPolicy(w.ctx, w.name, "secret", w.name))
		token, err := staging.ServiceAccountToken(w.ctx, w.namespace, "syncer", time.Hour)
		w.must(err)
		_, err = stack.Vault.Client.Logical().WriteWithContext(w.ctx, "auth/staging/role/"+w.name, map[string]any{
			"bound_service_account_names": "syncer", "bound_service_account_namespaces": w.namespace, "policies": []string{w.name}, "ttl": "1h", "audience": "",
		})
		w.must(err)
		file := filepath.Join(w.t.TempDir(), "token")
		w.must(os.WriteFile(file, []byte(token), 0o600))
		v := &w.config.Tenants[0].Vault
		v.Token, v.Kubernetes = "", &KubernetesAuth{Mount: "staging", Role: w.name, TokenFile: file}
	})
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.holds("production/./db", map[string]string{"a": "1"})
}

func TestAVaultThatIsDownIsProbedOnceAndRecoversByItself(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]devstack.Fault{
		"connections are reset":       {Reset: true},
		"sealed":                      {Status: http.StatusServiceUnavailable},
		"an error of its own":         {Status: http.StatusInternalServerError},
		"a standby that sends nobody": {Status: 473},
		"answers are cut short":       {Truncate: 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, via := viaProxy(t, devstack.Shared(t))
			w := newWorld(t, via, withAppRole(time.Hour))
			var names []string
			for i := range 50 {
				names = append(names, fmt.Sprintf("db-%d", i))
				w.put(names[i], map[string]any{"a": "1"})
				w.define(names[i], "production/.")
			}
			w.synced(names...)
			proxy.Inject(trouble)
			for _, name := range names {
				if s := w.status(name, fault.ReasonVaultUnavailable); s.State != fault.Error || s.LastSync.IsZero() {
					t.Fatalf("%+v", s)
				}
			}
			// The first status tells of it while other reads are still under way. Between
			// two probes there may be more time than this: then it was quiet as well.
			w.quiet(proxy, 200*time.Millisecond)
			began, before := time.Now(), proxy.Requests()
			time.Sleep(3 * time.Second) // three poll intervals of 50 paths each
			// While copies wait it is probed five times a second, with some room for a
			// probe that takes two requests.
			n, took := proxy.Requests()-before, time.Since(began)
			if most := int(took/(200*time.Millisecond)) + 5; n > most {
				t.Errorf("%d requests in %s to a vault that is down", n, took)
			}
			w.put("db-7", map[string]any{"a": "2"})
			w.define("new", "production/.")
			w.put("new", map[string]any{"a": "1"})
			proxy.Clear()
			w.synced(append(names, "new")...)
			w.holds("production/./db-7", map[string]string{"a": "2"})
		})
	}
}

func TestOnePathThatFailsDoesNotCloseTheVault(t *testing.T) {
	t.Parallel()
	proxy, via := viaProxy(t, devstack.Shared(t))
	w := newWorld(t, via)
	w.put("good", map[string]any{"a": "1"})
	w.put("bad", map[string]any{"a": "1"})
	proxy.Inject(devstack.Fault{Match: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/bad") }, Status: 500})
	w.define("bad", "production/.")
	w.status("bad", fault.ReasonVaultUnavailable)
	w.define("good", "production/.")
	w.synced("good")
	v := w.put("good", map[string]any{"a": "2"})
	w.statusWhere("good", "version 2", func(s status.Status) bool { return s.Phase == status.Active && s.Targets[0].VaultVersion == v })
	w.status("bad", fault.ReasonVaultUnavailable)
	proxy.Clear()
	w.synced("bad")
}

func TestAVaultThatHangsHoldsUpNoOtherTenant(t *testing.T) {
	t.Parallel()
	proxy, via := viaProxy(t, devstack.Shared(t))
	// What hangs goes on hanging: only who is not held up by it ever ends.
	slow := newWorld(t, via, notRunning, func(w *world) { w.config.Tenants[0].Vault.Timeout = time.Hour })
	quick := newWorld(t, notRunning)
	slow.config.Tenants = append(slow.config.Tenants, quick.config.Tenants...)
	for i := range 100 {
		name := fmt.Sprintf("db-%d", i)
		slow.define(name, "production/.")
	}
	proxy.Inject(devstack.Fault{Match: func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/data/") }, Drop: true})
	slow.ends = nil
	slow.start()
	quick.r = slow.r
	slow.statusWhere("db-0", "being read", func(status.Status) bool { return proxy.Requests() > 10 })
	quick.put("db", map[string]any{"a": "1"})
	quick.define("db", "production/.")
	quick.synced("db")
	proxy.Clear()
	proxy.Disconnect()
	slow.status("db-99", fault.ReasonValueNotFound)
}

func TestAPolicyThatAllowsOnlyTheDataIsGoneAlongWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.must(w.stack.Vault.Policy(w.ctx, w.name, fmt.Sprintf("path %q {\n capabilities = [\"read\"]\n}\n", "secret/data/"+w.name+"/*")))
		token, err := w.stack.Vault.Token(w.ctx, time.Hour, w.name)
		w.must(err)
		w.config.Tenants[0].Vault.Token = token
	})
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	w.put("db", map[string]any{"a": "2"})
	w.holds("production/./db", map[string]string{"a": "2"})
	w.stop()
	before := w.get("production/./db").ResourceVersion
	w.start()
	w.synced("db")
	if after := w.get("production/./db").ResourceVersion; after != before {
		t.Error("it was written again")
	}
}

func TestWhatTheVaultDeniesIsSaidAndHeldAgainstNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.must(w.stack.Vault.ReadPolicy(w.ctx, w.name, "secret", w.name+"/open"))
		token, err := w.stack.Vault.Token(w.ctx, time.Hour, w.name)
		w.must(err)
		w.config.Tenants[0].Vault.Token = token
	})
	w.put("open/db", map[string]any{"a": "1"})
	w.put("shut/db", map[string]any{"a": "1"})
	w.defineAt("shut", "shut/db", "production/.")
	w.defineAt("open", "open/db", "production/.")
	w.synced("open")
	s := w.status("shut", fault.ReasonVaultForbidden)
	if s.State != fault.Error || !strings.Contains(s.Message, "secret/"+w.name+"/shut/db") {
		t.Errorf("%+v", s)
	}
	w.must(w.stack.Vault.ReadPolicy(w.ctx, w.name, "secret", w.name))
	w.synced("shut")
}

func TestARefusedTokenIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.Tenants[0].Vault.Token = "hvs.wrong" })
	w.define("db", "production/.")
	s := w.status("db", fault.ReasonVaultForbidden)
	if strings.Contains(s.Message+w.logs.String(), "hvs.wrong") {
		t.Errorf("the token is in %q or the log", s.Message)
	}
}

func TestMountsThatAreNoKV2AreSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.must(w.stack.Vault.Client.Sys().MountWithContext(w.ctx, w.name, &vaultapi.MountInput{Type: "kv", Options: map[string]string{"version": "1"}}))
		w.config.Tenants[0].Vault.Mount = w.name
	})
	w.define("db", "production/.")
	if s := w.status("db", fault.ReasonVaultForbidden); !strings.Contains(s.Message, "version 1") {
		t.Errorf("%+v", s)
	}
	none := newWorld(t, func(w *world) { w.config.Tenants[0].Vault.Mount = "nothing-here" })
	none.define("db", "production/.")
	if s := none.status("db", fault.ReasonVaultForbidden); !strings.Contains(s.Message, "nothing-here") {
		t.Errorf("%+v", s)
	}
}

func TestWhoAsksForAReadAndWaitsGetsTheNewValue(t *testing.T) {
	t.Parallel()
	proxy, via := viaProxy(t, devstack.Shared(t))
	w := newWorld(t, via, func(w *world) { w.config.PollInterval = seldom })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.", "staging/.")
	w.synced("db")
	for range 5 {
		proxy.Inject(devstack.Fault{Delay: 200 * time.Millisecond, Times: 1})
		version := w.put("db", map[string]any{"a": "2"})
		w.r.SyncNow(w.tenant(), w.parse("db"))
		_, s, err := w.r.Wait(w.ctx, w.tenant(), w.parse("db"), status.Active)
		w.must(err)
		for _, target := range s.Targets {
			if target.VaultVersion != version {
				t.Errorf("Active with version %d, when %d had been asked for", target.VaultVersion, version)
			}
		}
	}
}

func TestAChangedValueIsReadOnceForAllItsTargets(t *testing.T) {
	t.Parallel()
	proxy, via := viaProxy(t, devstack.Shared(t))
	w := newWorld(t, via, func(w *world) { w.config.PollInterval = seldom })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/./one", "production/./two", "staging/./one", "staging/./two")
	w.synced("db")
	w.quiet(proxy, 500*time.Millisecond) // else one more pass might read it again
	values := requested(proxy, isValue)
	w.put("db", map[string]any{"a": "2"})
	w.r.SyncNow(w.tenant(), w.parse("db"))
	for _, place := range []string{"production/./one", "production/./two", "staging/./one", "staging/./two"} {
		w.holds(place, map[string]string{"a": "2"})
	}
	w.synced("db")
	if n := values.Load(); n != 1 {
		t.Errorf("%d reads of the value", n)
	}
}

func TestSomebodysWordThatAPathChangedHasItReadForAllWhoUseIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.PollInterval, w.config.MinRefreshInterval = seldom, 10*time.Millisecond })
	w.put("db", map[string]any{"a": "1"})
	w.defineAt("one", "db", "production/./one", "staging/./one")
	w.defineAt("two", "db", "production/./two")
	w.synced("one", "two")
	parse := func(s string) definition.SecretPath {
		path, err := definition.ParseSecretPath(s)
		w.must(err)
		return path
	}
	w.put("db", map[string]any{"a": "2"})
	if n := w.r.SyncPath(w.tenant(), parse("db")); n != 2 {
		t.Errorf("%d definitions, want 2", n)
	}
	w.holds("production/./one", map[string]string{"a": "2"})
	w.holds("staging/./one", map[string]string{"a": "2"})
	w.holds("production/./two", map[string]string{"a": "2"})
	if n := w.r.SyncPath(w.tenant(), parse("other")); n != 0 {
		t.Errorf("%d definitions of a path that none uses", n)
	}
	w.label("production", w.namespace, `{"team":"`+w.name+`"}`)
	w.selecting("db", w.team(""))
	w.synced("db")
	if n := w.r.SyncAll(w.tenant()); n != 3 {
		t.Errorf("%d definitions, want 3, one of which selects its namespaces", n)
	}
}
