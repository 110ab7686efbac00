package reconcile

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
)

// TestMemoryOfManyTargets holds what is kept of each target, and told of it, to
// what 100,000 of them in 700 MB allow, with the garbage collector's share taken
// off.
func TestMemoryOfManyTargets(t *testing.T) {
	const count, most = 20_000, 2400 // bytes of each, without what room kube keeps of its copy
	r, tenant, entries := manyTargets(t, count)
	before := liveBytes()
	for _, e := range entries {
		tenant.mu.Lock()
		tenant.enter(e)
		tenant.mu.Unlock()
	}
	for _, e := range entries {
		tenant.definitions[e.Name].targets[0].stands(time.Now())
	}
	each := (liveBytes() - before) / count
	t.Logf("%d bytes of each target", each)
	if each > most {
		t.Errorf("%d bytes of each target, of at most %d", each, most)
	}
	runtime.KeepAlive(entries)
	runtime.KeepAlive(r)
}

// To come and to go costs a target of a path as much where it has thousands of others as where it
// has few. Seen to fail where the path's list was copied for each.
func TestWhatATargetCostsDoesNotGrowWithThoseOfItsPath(t *testing.T) {
	for _, interval := range []string{"", "refreshInterval: 30s\n"} {
		each := func(count int) uint64 {
			it, entries := ofOnePath(t, count, interval)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			it.comeAndGo(entries)
			runtime.ReadMemStats(&after)
			if n := len(it.origins); n > 0 {
				t.Errorf("%d paths are followed for nobody", n)
			}
			return (after.TotalAlloc - before.TotalAlloc) / uint64(count)
		}
		if few, many := each(100), each(2000); many > 2*few {
			t.Errorf("%q: %d bytes for each of 100, and %d for each of 2,000", interval, few, many)
		}
	}
}

// A set of targets holds what was put into it, on either side of the size at which it changes its form.
func TestASetOfTargets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	targets := make([]*target, 3*mostFew)
	for i := range targets {
		targets[i] = new(target)
	}
	for range 200 {
		var set targetSet
		want := make(map[*target]bool)
		for range random.IntN(200) {
			x := targets[random.IntN(len(targets))]
			if want[x] {
				delete(want, x)
				set.remove(x)
			} else {
				want[x] = true
				set.add(x)
			}
			set.remove(new(target)) // that it does not hold
		}
		got := make(map[*target]bool)
		for x := range set.all() {
			got[x] = true
		}
		if !maps.Equal(got, want) || set.len() != len(want) {
			t.Fatalf("it holds %d of %d", len(got), len(want))
		}
	}
}

// ofOnePath are targets of one path, each a definition of its own.
func ofOnePath(tb testing.TB, count int, interval string) (it *tenant, entries []*catalog.Entry) {
	_, it, entries = manyTargets(tb, count)
	for i, e := range entries {
		text := fmt.Sprintf("name: %s\nsecretPath: production/shared\n%ssync: [{cluster: production, namespace: payments}]\n", e.Name, interval)
		d, err := parse.File("secrets/"+e.Name.String()+".yaml", []byte(text))
		if err != nil {
			tb.Fatal(err)
		}
		entries[i] = &catalog.Entry{Name: e.Name, Definition: d, Revision: e.Revision, Source: e.Source}
	}
	return it, entries
}

// comeAndGo takes definitions in, and out again.
func (t *tenant) comeAndGo(entries []*catalog.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		t.enter(e)
	}
	for _, e := range entries {
		t.withdraw(catalog.Change{Name: e.Name, Old: e})
	}
}

// manyTargets makes a reconciler that does not run, its tenant, and definitions
// for it to take in.
func manyTargets(tb testing.TB, count int) (r *Reconciler, it *tenant, entries []*catalog.Entry) {
	tenantName, err := gitstore.ParseTenantName("acme")
	if err != nil {
		tb.Fatal(err)
	}
	alias, _ := definition.ParseClusterName("production")
	namespace, _ := definition.ParseNamespace("payments")
	revision, _ := catalog.ParseRevision("0123456789012345678901234567890123456789")
	r, err = New(Config{
		HashKey:  testKey,
		Clusters: []Cluster{{Name: "eu"}},
		Tenants: []Tenant{{
			Name: tenantName, Repository: new(gitstore.Repository),
			Vault:    Vault{Address: "https://vault:8200", Mount: "secret", Token: "t"},
			Clusters: map[definition.ClusterName]Grant{alias: {Cluster: "eu", Namespaces: []string{"*"}}},
		}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	it = r.tenant(tenantName)
	entries = make([]*catalog.Entry, count)
	for i := range entries {
		name, _ := definition.ParseName(fmt.Sprintf("secret-%05d", i))
		path, _ := definition.ParseSecretPath(fmt.Sprintf("production/services/secret-%05d", i))
		d, err := definition.New(name, path, []definition.Target{{Cluster: alias, Namespace: namespace}})
		if err != nil {
			tb.Fatal(err)
		}
		entries[i] = &catalog.Entry{Name: name, Definition: d, Revision: revision, Source: revision}
	}
	return r, it, entries
}

func liveBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
