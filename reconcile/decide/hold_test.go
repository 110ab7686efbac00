package decide

import (
	"strings"
	"testing"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

func TestNothingIsWrittenThatIsSuspended(t *testing.T) {
	for name, test := range map[string]struct {
		given  given
		action Action
		reason fault.Reason
		says   string
	}{
		"value and copy agree":    {of(func(in *Input, c *copies.Copy) { known(in, testStamp) }), Stay, fault.ReasonSuspended, "value and copy agree"},
		"there is a new version":  {of(func(in *Input, c *copies.Copy) { known(in, newStamp); in.Held = true }), Stay, fault.ReasonSuspended, "version 4 is not written: another version"},
		"it is not read either":   {of(func(in *Input, c *copies.Copy) { known(in, newStamp) }), Stay, fault.ReasonSuspended, "version 4 is not written: another version"},
		"the copy was edited":     {of(func(in *Input, c *copies.Copy) { known(in, testStamp); c.Intact = false }), Stay, fault.ReasonSuspended, "version 3 is not written: the copy was edited"},
		"an edited copy, unasked": {of(func(in *Input, c *copies.Copy) { c.Intact = false }), Know, fault.ReasonSuspended, "asked for the version"},
		"there is no copy":        {func(in *Input) { known(in, testStamp) }, Stay, fault.ReasonSuspended, "no copy yet"},
		"the copy was deleted":    {func(in *Input) { known(in, testStamp); in.Seen.Left = true }, Read, fault.ReasonSuspended, "looked at"},
		"it is of another type":   {of(func(in *Input, c *copies.Copy) { known(in, testStamp); c.Type = "kubernetes.io/tls"; in.Held = true }), Stay, fault.ReasonSuspended, "another type"},
		"it may be taken over": {of(func(in *Input, c *copies.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt = "acme/db"
			known(in, testStamp)
			in.Held = true
		}), Stay, fault.ReasonSuspended, "not written"},
		"somebody fights over it": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			c.Intact = false
			in.Record.fight = fighting(testStamp)
		}), Stay, fault.ReasonSuspended, "somebody goes on changing it"},
		"nothing is known":         {func(in *Input) {}, Know, fault.ReasonSuspended, "asked for the version"},
		"the vault is down":        {func(in *Input) { in.Vault = vaultDown }, Know, fault.ReasonSuspended, "besides, down"},
		"there is no value":        {func(in *Input) { in.Source.Fault = noValue }, Stay, fault.ReasonSuspended, "besides, no value"},
		"the cluster is down":      {func(in *Input) { in.Cluster = &fault.Outage{Fault: vaultDown.Fault, Since: testNow} }, Stay, fault.ReasonSuspended, "besides, cluster production: down"},
		"somebody else's stands":   {of(func(in *Input, c *copies.Copy) { *c = foreign(); lookedAt(in, c, 0) }), Stay, fault.ReasonSuspended, "is not this definition's"},
		"the cluster asks to wait": {func(in *Input) { known(in, testStamp); in.Held, in.Throttled = true, testNow.Add(1) }, Stay, fault.ReasonSuspended, "no copy yet"},
		"admission made it another": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			c.Altered, c.Intact = &copies.Alteration{}, false
			in.Held = true
			in.Record.sent = &sent{owner: testOwner, stamp: testStamp}
		}), Stay, fault.ReasonSuspended, "admission"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, by := range []Suspension{ByDefinition, ByOperator} {
				in := deciding()
				test.given(in)
				in.Suspended = by
				d := Next(in)
				if d.Action != test.action || d.Fault == nil || d.Fault.Reason != test.reason || !strings.Contains(d.Fault.Message, test.says) {
					t.Fatalf("%v, %+v", d.Action, d.Fault)
				}
				if d.Action.Writes() || d.Value || d.Drift {
					t.Errorf("%+v", d)
				}
			}
		})
	}
}
