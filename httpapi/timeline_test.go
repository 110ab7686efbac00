package httpapi

import (
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

func TestATimelineTellsHowADefinitionStood(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a","sync":[{"cluster":"production","namespace":"x"}]}`)
	type moment struct {
		Time, Phase, Reason, Message string
		Ready                        bool
	}
	told := func() []moment {
		t.Helper()
		var list struct{ Items []moment }
		r := w.do("GET", "/api/v1/tenants/acme/secrets/db/timeline", w.reader, "")
		if r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		decodeJSON(t, r.body, &list)
		return list.Items
	}
	if got := told(); len(got) != 1 || got[0].Phase != "Active" || !got[0].Ready || got[0].Time == "" {
		t.Errorf("%+v", got)
	}
	w.reconciler.set(func(*catalog.Entry) status.Status {
		return status.Status{Phase: status.Failed, Ready: status.Condition{Reason: fault.ReasonNotOwned, Message: "a Secret stands there", LastTransition: someTime}}
	})
	if got := told(); len(got) != 2 || got[0].Reason != "NotOwned" || got[0].Message != "a Secret stands there" || got[1].Phase != "Active" {
		t.Errorf("%+v", got)
	}
	if r := w.do("GET", "/api/v1/tenants/acme/secrets/none/timeline", w.reader, ""); r.status != 404 {
		t.Errorf("%d", r.status)
	}
}
