package telemetry

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestAllThatIsSaidOfATenantIsForgottenAndNothingElse(t *testing.T) {
	registry := prometheus.NewRegistry()
	all, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	tell := func(tenant string) *RepositoryMetrics {
		r := all.Of(tenant)
		for _, outcome := range []string{Done, "stale", "not_found"} {
			r.Fetched(outcome, time.Unix(1, 0))
			r.Pushed(outcome)
		}
		return r
	}
	// series counts those of each tenant.
	series := func() map[string]int {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		of := make(map[string]int)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "tenant" {
						of[l.GetValue()]++
					}
				}
			}
		}
		return of
	}
	leaver, local := tell("acme"), tell("umbrella")
	tell("initech")
	before := series()["initech"]
	leaver.Forget()
	local.ForgetRemote()
	const remote = 1 + 2*3 // when it was fetched, and the outcomes of fetches and pushes
	if got := series(); got["acme"] != 0 || got["umbrella"] != before-remote || got["initech"] != before {
		t.Errorf("series of each: %v; of one that is told of all there are %d", got, before)
	}
	tell("acme")
	if got := series()["acme"]; got != before {
		t.Errorf("%d series of one that came back, of %d", got, before)
	}
}
