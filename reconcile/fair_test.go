package reconcile

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"secretsync/examples/devstack"
)

func TestOneTenantsSlowWritesTakeNoOthersLane(t *testing.T) {
	t.Parallel()
	proxy, via := productionVia(t, devstack.Shared(t))
	slow, quick := newWorld(t, via, notRunning), newWorld(t, notRunning)
	slow.config.Tenants = append(slow.config.Tenants, quick.config.Tenants...)
	const count = 300
	definitions := func(w *world) map[string]*string {
		files := make(map[string]*string)
		for i := range count {
			yaml := fmt.Sprintf("name: db-%d\nsecretPath: shared\nsync:\n  - {cluster: production, namespace: %s}\n", i, w.namespace)
			files[fmt.Sprintf("secrets/db-%d.yaml", i)] = &yaml
		}
		return files
	}
	slow.put("shared", map[string]any{"a": "1"})
	quick.put("shared", map[string]any{"a": "1"})
	slow.push(definitions(slow))
	// A webhook that takes half a second, for one of the two.
	proxy.Inject(devstack.Fault{Match: func(r *http.Request) bool {
		return isWrite(r) && strings.Contains(r.URL.Path, slow.namespace+"/secrets")
	}, Delay: 500 * time.Millisecond})
	slow.ends = nil
	slow.start()
	quick.r = slow.r
	// All lanes are taken by the slow one when the quick one comes.
	slow.statusWhere("db-0", "a first copy", func(Status) bool { return proxy.Requests() > DefaultClusterWrites })
	quick.push(definitions(quick))
	var names []string
	for i := range count {
		names = append(names, fmt.Sprintf("db-%d", i))
	}
	quick.synced(names...)
	// The slow one needs half a second for each 32 of its 300; it is far from done.
	done := 0
	for _, name := range names {
		if e, ok := slow.repo.Snapshot().Get(slow.parse(name)); ok && slow.r.Status(slow.tenant(), e).Phase == PhaseActive {
			done++
		}
	}
	if done > count*2/3 {
		t.Errorf("the quick tenant waited until %d of the slow one's %d copies were written", done, count)
	}
	if done == 0 {
		t.Error("the slow tenant got nowhere")
	}
}
