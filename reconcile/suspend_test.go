package reconcile

import (
	"strings"
	"testing"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"

	corev1 "k8s.io/api/core/v1"
)

func TestATenantIsSuspendedAndResumed(t *testing.T) {
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	before := w.get("production/./db")

	w.config.Tenants[0].Suspend = true
	w.must(w.r.Reconfigure(w.config))
	if s := w.status("db", fault.ReasonSuspended); s.State != fault.Pending || !strings.Contains(s.Message, "value and copy agree") || s.VaultVersion != 1 || s.LastSync.IsZero() {
		t.Errorf("%+v", s)
	}
	if s := w.r.Tenant(w.tenant()); s.Phase != status.Pending || s.Reason != fault.ReasonSuspended {
		t.Errorf("the tenant: %+v", s)
	}
	told := func(what, words string) {
		t.Helper()
		w.statusWhere("db", what, func(s status.Status) bool {
			return s.Targets[0].Reason == fault.ReasonSuspended && strings.Contains(s.Targets[0].Message, words)
		})
	}
	w.put("db", map[string]any{"a": "2"})
	told("a new version told", "version 2 is not written: another version")
	w.edit("production/./db", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	told("drift told", "version 2 is not written: the copy was edited")
	w.define("new", "production/.")
	w.put("new", map[string]any{"b": "1"})
	w.status("new", fault.ReasonSuspended)
	if s := w.get("production/./db"); s.UID != before.UID || string(s.Data["a"]) != "edited" {
		t.Errorf("it was written: %v", s.Annotations)
	}
	if s := w.get("production/./new"); s != nil {
		t.Errorf("a copy was made: %v", s.Annotations)
	}

	w.config.Tenants[0].Suspend = false
	w.must(w.r.Reconfigure(w.config))
	w.synced("db", "new")
	w.holds("production/./db", map[string]string{"a": "2"})
	w.holds("production/./new", map[string]string{"b": "1"})
}
