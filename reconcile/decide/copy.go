package decide

import (
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// byValue decides by what the vault says, for a place that is ours to fill.
func byValue(in *Input, c *copies.Copy) Decision {
	s := &in.Source
	switch {
	case s.Fault != nil:
		return Decision{Why: "no value to copy", Fault: copyStays(s.Fault, c)}
	case !s.Known && whole(in, c):
		// The version alone may tell that nothing is to be done.
		return Decision{Action: Know, Why: "has the version changed?", Fault: askingVersion}
	case !s.Known:
		return Decision{Action: Fetch, Value: true, Why: difference(in, c), Fault: askingValue}
	}
	want := in.stamp()
	if older(in, c) {
		return Decision{Action: Confirm, Want: want, Why: "the vault answers an older version than was copied",
			Fault: fault.Queued("the vault answers version %d, which is older than version %d that was copied; it is asked again", want.Version, c.Version)}
	}
	if part := olderPart(in, c); part != "" {
		return Decision{Action: Confirm, Want: want, Why: "the vault answers an older version than was copied",
			Fault: fault.Queued("the vault answers an older version of %s than was copied; it is asked again", part)}
	}
	if u := in.Record.unfit; u != nil && u.want == want {
		return Decision{Want: want, Why: "no copy can be made of the value", Fault: u.fault}
	}
	var d Decision
	if in.isRight(c, want) {
		d = agreed(in, c)
	} else {
		d = repair(in, c, want)
	}
	d.Want = want
	return d
}

// whole reports whether a copy is right but for what the vault may say.
func whole(in *Input, c *copies.Copy) bool {
	return c != nil && c.Path == in.Path && c.Recipe == in.Recipe && in.isRight(c, c.Stamp)
}

// isRight reports whether a Secret, or the share of one, is as it should be.
func (in *Input) isRight(c *copies.Copy, want copies.Stamp) bool {
	return c.Right(in.Owner, want, in.Type, in.Worn) && (in.May == nil || c.Has(*in.May))
}

// agreed decides about a copy that is right.
func agreed(in *Input, c *copies.Copy) Decision {
	d := Decision{Right: true, Why: "value and copy agree"}
	switch {
	case c.Unconfirmed:
		d.Right = false
		d.Fault = fault.Queued("version %d was written; what became of it is being looked at", c.Version)
	case c.Altered != nil:
		return altered(in, c)
	case in.Record.fight.lasts(in.Now):
		d.Fault, d.Again = contended(in, c), in.Record.fight.over().Sub(in.Now)
	case len(in.taken) > 0:
		d.Why, d.Fault = "some of it is another's", keyConflict(in)
	case in.Source.Asked:
		d.Fault = askingAgain
	}
	return d
}

// altered decides about a copy that admission made something else of.
func altered(in *Input, c *copies.Copy) Decision {
	d := Decision{Why: "admission changes what is written", Fault: alteredFault(in, c)}
	if d.Again = in.Record.sent.tried().Add(in.Interval).Sub(in.Now); d.Again <= 0 {
		// Trying needs the value.
		d.Action, d.Value, d.Again = Try, true, 0
		if !in.Held {
			d.Action = Fetch
		}
	}
	return d
}

// repair decides how a copy that is missing or wrong is made right.
func repair(in *Input, c *copies.Copy, want copies.Stamp) Decision {
	r := &in.Record
	if c != nil && c.Altered != nil && r.sent.equals(in.Owner, want, in.Type) {
		return altered(in, c)
	}
	d := Decision{Action: Create, Value: true, Why: difference(in, c), Drift: r.stood(in)}
	if c != nil {
		d.Action = Update
		switch {
		case c.Deleting:
			return Decision{Why: "the old Secret is being deleted", Fault: terminating(in, c), Drift: d.Drift}
		case in.May != nil && c.Immutable:
			return Decision{Why: "immutable, and not ours alone", Fault: typeMismatch(in, c)}
		case in.May != nil:
		case c.Type != kindOf(in.Type) && !c.Proven(in.Owner):
			return Decision{Why: "of another type, and not as we wrote it", Fault: typeMismatch(in, c)}
		case c.Immutable && !c.Proven(in.Owner):
			// Its data can't have been edited: it is a copy that a person made, or
			// another server's, and to replace it is to delete it.
			return Decision{Why: "immutable, and not as we wrote it", Fault: typeMismatch(in, c)}
		case c.Type != kindOf(in.Type), c.Immutable:
			d.Action = Replace
		}
	}
	switch {
	case r.fight.pauses(in.Now) && r.fight.about == want:
		return Decision{Action: Wait, Why: "somebody goes on changing it", Fault: contended(in, c), Again: r.fight.until.Sub(in.Now), Drift: d.Drift}
	case !in.Held:
		d.Action = Fetch
		d.Fault = fault.Queued("version %d is being read from the vault: %s", want.Version, d.Why)
	default:
		d.Fault = fault.Queued("version %d is being written: %s", want.Version, d.Why)
	}
	return d
}

// difference names the first thing in which a copy is not as it should be.
func difference(in *Input, c *copies.Copy) string {
	switch {
	case c == nil:
		return "no copy yet"
	case in.May != nil && !c.Part:
		return "its keys are not in the Secret yet"
	case c.Owner != in.Owner:
		return "it was another definition's copy"
	case !c.Labelled:
		return "labels are missing"
	case c.Path != in.Path:
		return "another path"
	case c.Type != kindOf(in.Type):
		return "another type"
	case !c.Intact:
		return "the copy was edited"
	case c.Recipe != in.Recipe:
		return "the definition makes something else of the value"
	case in.Source.Known && bears(c) != in.Source.Version:
		return "another version"
	case in.Source.Known && c.Others != in.others:
		return "another version of a further path"
	case in.May != nil && !c.Has(*in.May):
		return "other keys than before are to be had"
	case c.Worn != in.Worn:
		return "labels or annotations were changed"
	}
	return "the copy is not right"
}

func kindOf(kind string) string {
	if kind == "" {
		return copies.TypeOpaque
	}
	return kind
}
