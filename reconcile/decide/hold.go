package decide

import (
	"fmt"
	"time"

	"secretsync/reconcile/fault"
)

// hold makes of a decision what may be done of it while nothing may be written, and
// tells what is left undone. The vault goes on being asked for versions and the
// cluster for what stands, so that drift is known; no value is read.
func hold(in *Input, d Decision) Decision {
	switch d.Action {
	case Fetch:
		if d.Action = Stay; !in.Source.Known {
			d.Action = Know
		}
	case Wait, Leave, Try, Create, Update, Replace:
		d.Action, d.Again = Stay, 0
	}
	if d.Right {
		d.Again = 0 // no pause to tell the end of
	}
	d.Value, d.Drift, d.Since = false, false, time.Time{}
	d.Fault = suspended(in, &d)
	return d
}

// suspended says who has suspended a copy, how it stands, and what would keep it
// from being written besides.
func suspended(in *Input, d *Decision) *fault.Fault {
	who := "suspended by the definition; take suspend out of it to go on"
	if in.Suspended == ByOperator {
		who = "tenant " + in.Owner.Tenant + " is suspended by the operator's configuration"
	}
	var besides *fault.Fault
	switch {
	case d.Fault != nil && d.Fault.Reason != fault.ReasonQueued && d.Fault.Reason != fault.ReasonContended && !d.Right:
		besides = d.Fault
	case in.Vault != nil:
		besides = &in.Vault.Fault
	}
	var drift string
	switch {
	case besides != nil:
		drift = "besides, " + besides.Message
	case d.Right:
		drift = "value and copy agree"
	case d.Action == Read:
		drift = "what stands there is being looked at"
	case !in.Source.Known:
		drift = "the vault is being asked for the version"
	default:
		drift = fmt.Sprintf("version %d is not written: %s", in.Source.Version.Number, d.Why)
	}
	return fault.New(fault.Pending, fault.ReasonSuspended, "%s; %s", who, drift)
}
