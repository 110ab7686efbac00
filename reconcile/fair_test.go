package reconcile

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"secretsync/examples/devstack"
	"secretsync/reconcile/status"
)

func TestOneTenantsSlowWritesTakeNoOthersLane(t *testing.T) {
	t.Parallel()
	proxy, via := productionVia(t, devstack.Shared(t))
	slow, quick := newWorld(t, via, notRunning), newWorld(t, notRunning)
	slow.config.Tenants = append(slow.config.Tenants, quick.config.Tenants...)
	const count, few = 300, 100
	definitions := func(w *world, count int) map[string]*string {
		files := make(map[string]*string)
		for i := range count {
			yaml := fmt.Sprintf("name: db-%d\nsecretPath: shared\nsync:\n  - {cluster: production, namespace: %s}\n", i, w.namespace)
			files[fmt.Sprintf("secrets/db-%d.yaml", i)] = &yaml
		}
		return files
	}
	slow.put("shared", map[string]any{"a": "1"})
	quick.put("shared", map[string]any{"a": "1"})
	slow.push(definitions(slow, count))
	// A webhook that takes five seconds, for one of the two.
	for i := range slow.config.Clusters {
		slow.config.Clusters[i].Timeout = time.Minute
	}
	proxy.Inject(devstack.Fault{Match: func(r *http.Request) bool {
		return isWrite(r) && strings.Contains(r.URL.Path, slow.namespace+"/secrets")
	}, Delay: 5 * time.Second})
	slow.ends = nil
	slow.start()
	quick.r = slow.r
	// All lanes are taken by the slow one when the quick one comes.
	slow.statusWhere("db-0", "a first copy", func(status.Status) bool { return proxy.Requests() > DefaultClusterWrites })
	quick.push(definitions(quick, few))
	var names []string
	for i := range count {
		names = append(names, fmt.Sprintf("db-%d", i))
	}
	quick.synced(names[:few]...)
	// The slow one needs five seconds for each 32 of its 300, and the quick one has few, so that on a slow
	// machine as well the slow one is far from done.
	done := func() (n int) {
		for _, name := range names {
			if e, ok := slow.repo.Snapshot().Get(slow.parse(name)); ok && slow.r.Status(slow.tenant(), e).Phase == status.Active {
				n++
			}
		}
		return n
	}
	if n := done(); n > count*2/3 {
		t.Errorf("the quick tenant waited until %d of the slow one's %d copies were written", n, count)
	}
	slow.statusWhere("db-0", "one of the slow tenant's copies", func(status.Status) bool { return done() > 0 })
}
