package reconcile

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
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

// manyTargets makes a reconciler that does not run, its tenant, and definitions
// for it to take in.
func manyTargets(tb testing.TB, count int) (r *Reconciler, it *tenant, entries []*gitstore.Entry) {
	tenantName, err := gitstore.ParseTenantName("acme")
	if err != nil {
		tb.Fatal(err)
	}
	alias, _ := definition.ParseClusterName("production")
	namespace, _ := definition.ParseNamespace("payments")
	revision, _ := gitstore.ParseRevision("0123456789012345678901234567890123456789")
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
	entries = make([]*gitstore.Entry, count)
	for i := range entries {
		name, _ := definition.ParseName(fmt.Sprintf("secret-%05d", i))
		path, _ := definition.ParseSecretPath(fmt.Sprintf("production/services/secret-%05d", i))
		d, err := definition.New(name, path, []definition.Target{{Cluster: alias, Namespace: namespace}})
		if err != nil {
			tb.Fatal(err)
		}
		entries[i] = &gitstore.Entry{Name: name, Definition: d, Revision: revision, Source: revision}
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
