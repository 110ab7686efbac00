package reconcile

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// TestMemoryOfManyTargets holds what is kept of each synced target to what
// 100,000 of them in 700 MB allow, with the garbage collector's share taken off.
func TestMemoryOfManyTargets(t *testing.T) {
	const count, most = 20_000, 3000 // bytes of each
	tenantName, err := gitstore.ParseTenantName("acme")
	if err != nil {
		t.Fatal(err)
	}
	alias, _ := definition.ParseClusterName("production")
	namespace, _ := definition.ParseNamespace("payments")
	revision, _ := gitstore.ParseRevision("0123456789012345678901234567890123456789")
	r, err := New(Config{
		HashKey:  testKey,
		Clusters: []Cluster{{Name: "eu"}},
		Tenants: []Tenant{{
			Name: tenantName, Repository: new(gitstore.Repository),
			Vault:    Vault{Address: "https://vault:8200", Mount: "secret", Token: "t"},
			Clusters: map[definition.ClusterName]Grant{alias: {Cluster: "eu", Namespaces: []string{"*"}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tenant, cluster := r.tenant(tenantName), r.at.Load().clusters["eu"].it
	entries := make([]*gitstore.Entry, count)
	for i := range entries {
		name, _ := definition.ParseName(fmt.Sprintf("secret-%05d", i))
		path, _ := definition.ParseSecretPath(fmt.Sprintf("production/services/secret-%05d", i))
		d, err := definition.New(name, path, []definition.Target{{Cluster: alias, Namespace: namespace}})
		if err != nil {
			t.Fatal(err)
		}
		entries[i] = &gitstore.Entry{Name: name, Definition: d, Revision: revision, Source: revision}
	}
	before := liveBytes()
	wake := make(map[*unit]bool)
	for _, e := range entries {
		tenant.enter(e, wake)
	}
	clear(wake)
	for _, e := range entries {
		x := tenant.definitions[e.Name].targets[0]
		want := stamp{path: intern(e.Definition.SecretPath.String()), version: 3, created: strings.Clone("2026-01-02T03:04:05.123456789Z")}
		cluster.wrote(x.place, &record{owner: x.owner, stamp: want, commit: intern(revision.String()), uid: "01234567-0123-0123-0123-012345678901", rv: fmt.Sprint(123456 + len(wake)), intact: true, labelled: true})
		cluster.right(x, want)
		x.synced(time.Now(), 3, intern(revision.String()), false)
		x.unit.begins()
	}
	r.units.drain()
	each := (liveBytes() - before) / count
	t.Logf("%d bytes of each target", each)
	if each > most {
		t.Errorf("%d bytes of each target, of at most %d", each, most)
	}
	runtime.KeepAlive(entries)
	runtime.KeepAlive(r)
}

func liveBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
