package reconcile

import (
	"fmt"
	"time"

	"secretsync/reconcile/fault"
)

// suspension says who had the writing of a copy suspended.
type suspension uint8

const (
	working      suspension = iota
	byDefinition            // the definition says suspend: true
	byOperator              // the configuration of its tenant says so
)

// suspension returns why nothing is written for the target.
func (t *target) suspension() suspension {
	if t.tenant.suspended.Load() {
		return byOperator
	}
	if a := t.asks.Load(); a != nil && a.suspended {
		return byDefinition
	}
	return working
}

// hold makes of a decision what may be done of it while nothing may be written, and
// tells what is left undone. The vault goes on being asked for versions and the
// cluster for what stands, so that drift is known; no value is read.
func hold(in *input, d decision) decision {
	switch d.action {
	case fetch:
		if d.action = stay; !in.source.Known {
			d.action = know
		}
	case wait, try, create, update, replace:
		d.action, d.again = stay, 0
	}
	if d.right {
		d.again = 0 // no pause to tell the end of
	}
	d.value, d.drift, d.since = false, false, time.Time{}
	d.fault = suspended(in, &d)
	return d
}

// suspended says who has suspended a copy, how it stands, and what would keep it
// from being written besides.
func suspended(in *input, d *decision) *fault.Fault {
	who := "suspended by the definition; take suspend out of it to go on"
	if in.suspended == byOperator {
		who = "tenant " + in.owner.Tenant + " is suspended by the operator's configuration"
	}
	var besides *fault.Fault
	switch {
	case d.fault != nil && d.fault.Reason != ReasonQueued && d.fault.Reason != ReasonContended && !d.right:
		besides = d.fault
	case in.vault != nil:
		besides = &in.vault.Fault
	}
	var drift string
	switch {
	case besides != nil:
		drift = "besides, " + besides.Message
	case d.right:
		drift = "value and copy agree"
	case d.action == read:
		drift = "what stands there is being looked at"
	case !in.source.Known:
		drift = "the vault is being asked for the version"
	default:
		drift = fmt.Sprintf("version %d is not written: %s", in.source.Version.Number, d.why)
	}
	return fault.New(Pending, ReasonSuspended, "%s; %s", who, drift)
}

// suspend has a tenant's copies left as they are, or go on.
func (t *tenant) suspend(yes bool) {
	if t.suspended.Swap(yes) == yes {
		return
	}
	t.mu.RLock()
	for _, d := range t.definitions {
		for x := range d.all() {
			x.due()
		}
	}
	t.mu.RUnlock()
	t.tidyAgain()
	t.announce()
}

// due has the place of the target worked on soon, if it has one.
func (t *target) due() {
	if p := t.place.Load(); p != nil {
		p.due()
	}
}
