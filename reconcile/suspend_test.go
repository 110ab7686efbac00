package reconcile

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
)

func TestNothingIsWrittenThatIsSuspended(t *testing.T) {
	for name, test := range map[string]struct {
		given  given
		action action
		reason Reason
		says   string
	}{
		"value and copy agree":    {of(func(in *input, c *kube.Copy) { known(in, testStamp) }), stay, ReasonSuspended, "value and copy agree"},
		"there is a new version":  {of(func(in *input, c *kube.Copy) { known(in, newStamp); in.held = true }), stay, ReasonSuspended, "version 4 is not written: another version"},
		"it is not read either":   {of(func(in *input, c *kube.Copy) { known(in, newStamp) }), stay, ReasonSuspended, "version 4 is not written: another version"},
		"the copy was edited":     {of(func(in *input, c *kube.Copy) { known(in, testStamp); c.Intact = false }), stay, ReasonSuspended, "version 3 is not written: the copy was edited"},
		"an edited copy, unasked": {of(func(in *input, c *kube.Copy) { c.Intact = false }), know, ReasonSuspended, "asked for the version"},
		"there is no copy":        {func(in *input) { known(in, testStamp) }, stay, ReasonSuspended, "no copy yet"},
		"the copy was deleted":    {func(in *input) { known(in, testStamp); in.seen.Left = true }, read, ReasonSuspended, "looked at"},
		"it is of another type":   {of(func(in *input, c *kube.Copy) { known(in, testStamp); c.Type = "kubernetes.io/tls"; in.held = true }), stay, ReasonSuspended, "another type"},
		"it may be taken over": {of(func(in *input, c *kube.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt = "acme/db"
			known(in, testStamp)
			in.held = true
		}), stay, ReasonSuspended, "not written"},
		"somebody fights over it": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			c.Intact = false
			in.record.fight = fighting(testStamp)
		}), stay, ReasonSuspended, "somebody goes on changing it"},
		"nothing is known":         {func(in *input) {}, know, ReasonSuspended, "asked for the version"},
		"the vault is down":        {func(in *input) { in.vault = vaultDown }, know, ReasonSuspended, "besides, down"},
		"there is no value":        {func(in *input) { in.source.Fault = noValue }, stay, ReasonSuspended, "besides, no value"},
		"the cluster is down":      {func(in *input) { in.cluster = &fault.Outage{Fault: vaultDown.Fault, Since: testNow} }, stay, ReasonSuspended, "besides, cluster production: down"},
		"somebody else's stands":   {of(func(in *input, c *kube.Copy) { *c = foreign(); lookedAt(in, c, 0) }), stay, ReasonSuspended, "is not this definition's"},
		"the cluster asks to wait": {func(in *input) { known(in, testStamp); in.held, in.throttled = true, testNow.Add(1) }, stay, ReasonSuspended, "no copy yet"},
		"admission made it another": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			c.Altered, c.Intact = &kube.Alteration{}, false
			in.held = true
			in.record.sent = &sent{owner: testOwner, stamp: testStamp}
		}), stay, ReasonSuspended, "admission"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, by := range []suspension{byDefinition, byOperator} {
				in := deciding()
				test.given(in)
				in.suspended = by
				d := decide(in)
				if d.action != test.action || d.fault == nil || d.fault.Reason != test.reason || !strings.Contains(d.fault.Message, test.says) {
					t.Fatalf("%v, %+v", d.action, d.fault)
				}
				if d.action.writes() || d.value || d.drift {
					t.Errorf("%+v", d)
				}
			}
		})
	}
}

func TestATenantIsSuspendedAndResumed(t *testing.T) {
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	before := w.get("production/./db")

	w.config.Tenants[0].Suspend = true
	w.must(w.r.Reconfigure(w.config))
	if s := w.status("db", ReasonSuspended); s.State != Pending || !strings.Contains(s.Message, "value and copy agree") || s.VaultVersion != 1 || s.LastSync.IsZero() {
		t.Errorf("%+v", s)
	}
	if s := w.r.Tenant(w.tenant()); s.Phase != PhasePending || s.Reason != ReasonSuspended {
		t.Errorf("the tenant: %+v", s)
	}
	told := func(what, words string) {
		t.Helper()
		w.statusWhere("db", what, func(s Status) bool {
			return s.Targets[0].Reason == ReasonSuspended && strings.Contains(s.Targets[0].Message, words)
		})
	}
	w.put("db", map[string]any{"a": "2"})
	told("a new version told", "version 2 is not written: another version")
	w.edit("production/./db", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	told("drift told", "version 2 is not written: the copy was edited")
	w.define("new", "production/.")
	w.put("new", map[string]any{"b": "1"})
	w.status("new", ReasonSuspended)
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
