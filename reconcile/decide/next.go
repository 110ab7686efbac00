package decide

import (
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
)

// Next works out what is to be done next about a place, in the order that the table
// of the package says. It is asked for every pass and for every status alike.
func Next(in *Input) Decision {
	d := inCluster(in)
	if in.Suspended != Working {
		return hold(in, d)
	}
	if d.Action >= Fetch {
		d = heldBack(in, d)
	}
	if d.Fault != nil && d.Fault.Reason == fault.ReasonQueued && d.Since.IsZero() && in.Record.fight.lasts(in.Now) {
		d.Fault = contended(in, in.Seen.Copy) // also while it is put right once more
	}
	if in.Vault != nil && (d.Fault == nil || ConcernsVault(d.Fault.Reason)) && d.Since.IsZero() {
		// Whatever is known may be outdated. What can be done is done all the same.
		d.Fault, d.Since = &in.Vault.Fault, in.Vault.Since
	}
	return d
}

// FencedPause is after how long it is looked again whether a tenant may be written for.
const FencedPause = time.Second

// heldBack puts off what may not be written now, what failed a moment ago, and what the
// cluster asked us not to do yet. No value is read, and kept in memory, for what is fenced:
// that may last as long as an outage of the repository's server.
func heldBack(in *Input, d Decision) Decision {
	a := in.Record.attempt
	switch {
	case in.Fenced && d.Action != Read:
		return Decision{Action: Wait, Why: "nothing may be written for the tenant now", Fault: fenced(in), Want: d.Want, Again: FencedPause, Drift: d.Drift}
	case a.about(in, d.Want) && a.until.After(in.Now):
		return Decision{Action: Wait, Why: "the last attempt failed", Fault: a.fault, Want: d.Want, Again: a.until.Sub(in.Now), Drift: d.Drift}
	case in.Throttled.After(in.Now):
		return Decision{Action: Wait, Why: "the cluster asks us to wait", Fault: throttled(in), Want: d.Want, Value: in.Held, Again: in.Throttled.Sub(in.Now), Drift: d.Drift}
	case a.about(in, d.Want) && !d.Right:
		d.Fault = a.fault // it is being tried again: until that ends, the cause is the one that is known
	}
	return d
}

// ConcernsVault tells the reasons that a vault which can't be asked casts doubt
// on from those that stand whatever the vault says.
func ConcernsVault(r fault.Reason) bool {
	switch r {
	case fault.ReasonQueued, fault.ReasonValueNotFound, fault.ReasonValueDeleted, fault.ReasonInvalidKey, fault.ReasonValueTooLarge, fault.ReasonKeyNotFound, fault.ReasonTemplateFailed,
		fault.ReasonVaultForbidden, fault.ReasonVaultUnavailable:
		return true
	}
	return false
}

// inCluster decides what depends on the cluster and the namespace.
func inCluster(in *Input) Decision {
	switch {
	case in.Cluster != nil:
		f := in.Cluster.Fault
		f.Message = "cluster " + in.Alias + ": " + f.Message
		return Decision{Why: "the cluster takes no work", Fault: &f, Since: in.Cluster.Since}
	case in.Seen.Namespace == mirror.NamespaceMissing:
		return Decision{Why: "no namespace", Fault: namespaceNotFound(in)}
	case in.Seen.Namespace == mirror.NamespaceTerminating:
		return Decision{Why: "the namespace ends", Fault: namespaceEnds(in)}
	case in.Seen.Fault != nil:
		return Decision{Why: "the namespace can't be seen", Fault: in.Seen.Fault}
	}
	switch c := in.Seen.Copy; {
	case c == nil && in.Seen.Left:
		// The value is needed in either case, so it is read at the same time.
		return Decision{Action: Read, Value: true, Why: "the copy was deleted or lost its labels", Fault: copyLeft, Drift: in.Record.stood(in)}
	case in.May != nil:
		return joining(in)
	case c == nil:
		return byValue(in, nil)
	}
	return whose(in)
}

// whose decides by whose Secret it is that stands in the place.
func whose(in *Input) Decision {
	c := in.Seen.Copy
	switch {
	case c.Format.Newer():
		return lookedAgain(in, c, Decision{Why: "what stands there is of a newer format", Fault: newerFormat(in)})
	case c.Owner.Tenant == in.Owner.Tenant && len(c.Sharers()) > 0 && !c.Alone(in.Owner):
		return Decision{Why: "others share the Secret", Fault: sharedBy(in, c)}
	case in.Unsure && c.Owner != in.Owner && c.Owner.Tenant == in.Owner.Tenant:
		return Decision{Why: "the definition whose copy it is may claim it still", Fault: stillClaimed(in)}
	case c.Owner.Tenant == in.Owner.Tenant && (c.Filled() || c.Alone(in.Owner)):
		// Another definition's copy of the same tenant, too: none that is at
		// HEAD has it, or this one would not have the place.
		return byValue(in, c)
	case !in.Record.look.saw(c):
		return Decision{Action: Read, Why: "a Secret that is not ours stands in the place", Fault: notOwned(in)}
	}
	return lookedAgain(in, c, adopting(in, c))
}

// adopting decides about a Secret that is not ours, as it was when it was looked at.
func adopting(in *Input, c *copies.Copy) Decision {
	switch {
	case !c.Adoptable(in.Owner):
		return Decision{Why: "a Secret that is not ours stands in the place", Fault: notOwned(in)}
	case c.Type != kindOf(in.Type) || c.Owned || c.Immutable:
		return Decision{Why: "it may be taken over, but it can't be", Fault: typeMismatch(in, c)}
	}
	return byValue(in, c)
}

// lookedAgain has a Secret of whose changes nobody tells looked at once an interval.
// Until it was, its target stands as what was seen last says.
func lookedAgain(in *Input, c *copies.Copy, d Decision) Decision {
	switch {
	case c.Watched || d.Action != Stay:
	case in.Record.look.of(in, c):
		if again := max(time.Millisecond, in.Record.look.at.Add(in.Interval).Sub(in.Now)); d.Again == 0 || again < d.Again {
			d.Again = again
		}
	default:
		d.Action = Read
	}
	return d
}
