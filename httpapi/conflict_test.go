package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// The reconciler comes to a commit after it was answered; until then it says
// Queued of what is new.
func TestAWriteTellsOfATargetThatIsHeldBeforeTheReconcilerKnows(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/secrets", `{"name":"holder","secretPath":"a","sync":[{"cluster":"production","namespace":"x","secretName":"y"}]}`)
	w.reconciler.set(func(e *catalog.Entry) status.Status {
		s := status.Status{Phase: status.Pending, Ready: status.Condition{Reason: fault.ReasonQueued, Message: "not tried yet", LastTransition: someTime}}
		for _, target := range e.Definition.Sync {
			s.Targets = append(s.Targets, status.Target{Target: target, Secret: target.Secret(e.Name), State: fault.Pending, Reason: fault.ReasonQueued, Message: "not tried yet"})
		}
		return s
	})
	r := w.do("POST", "/api/v1/tenants/acme/secrets", w.admin, `{"name":"other","secretPath":"a","sync":[{"cluster":"production","namespace":"z"},{"cluster":"production","namespace":"x","secretName":"y"}]}`)
	var s secretBody
	decodeJSON(t, r.body, &s)
	if r.status != 201 || s.Status.Phase != "Failed" || s.Status.Conditions[0].Reason != "TargetConflict" || s.Status.SyncStatuses[0].Reason != "Queued" || s.Status.SyncStatuses[1].Reason != "TargetConflict" || !strings.Contains(s.Status.SyncStatuses[1].Message, "holder") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if got := r.header.Values("Warning"); len(got) != 1 || !strings.HasPrefix(got[0], `299 secretsync "target production/x/y of other: definition holder holds this target`) {
		t.Errorf("Warning %q", got)
	}
	r = w.do("PATCH", "/api/v1/tenants/acme/secrets/other", w.admin, `{"sync":[{"cluster":"production","namespace":"z"}]}`)
	if strings.Contains(string(r.body), "TargetConflict") || r.header.Get("Warning") != "" {
		t.Errorf("having let go of it: %s, Warning %q", r.body, r.header.Get("Warning"))
	}
}

func TestWarningsAreFewAndOrderly(t *testing.T) {
	w := newWorld(t)
	var targets []string
	for i := range 50 {
		targets = append(targets, fmt.Sprintf(`{"cluster":"nowhere-%d","namespace":"x"}`, i))
	}
	r := w.do("POST", "/api/v1/tenants/acme/secrets", w.admin, `{"name":"db","secretPath":"a","sync":[`+strings.Join(targets, ",")+`]}`)
	if got := r.header.Values("Warning"); r.status != http.StatusCreated || len(got) != 10 || !strings.Contains(got[0], "nowhere-0") || !strings.Contains(got[9], "more warnings") {
		t.Errorf("%d with the warnings %q", r.status, got)
	}
}

func TestWhatTheReconcilerWarnsOfIsToldToWhoWrites(t *testing.T) {
	w := newWorld(t)
	const says = "refreshInterval 1s is shorter than the operator allows; the vault is asked every 10s"
	w.reconciler.status = func(*catalog.Entry) status.Status {
		return status.Status{Phase: status.Active, Ready: status.Condition{Status: true, Reason: fault.ReasonSynced, Message: "no targets; nothing to sync; " + says, LastTransition: someTime}, Warnings: []string{says}}
	}
	r := w.do("POST", "/api/v1/tenants/acme/secrets", w.admin, `{"name":"db","secretPath":"a","refreshInterval":"1s"}`)
	if got := r.header.Values("Warning"); r.status != 201 || len(got) != 1 || got[0] != `299 secretsync "`+says+`"` {
		t.Errorf("%d %s, Warning %q", r.status, r.body, got)
	}
}
