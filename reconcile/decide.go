package reconcile

import (
	"fmt"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/vault"
)

// input is all that a decision about a place goes by: how the three places
// look at this moment, and what is remembered of what was done before.
type input struct {
	now   time.Time
	at    kube.Key
	owner kube.Owner // of the target that has the place
	alias string     // its cluster, as the tenant names it
	kind  string     // the type its copy is to have; empty is Opaque
	// interval is after how long something that only a person can mend is
	// looked at again.
	interval time.Duration

	asked     *asked    // what the definition asks for; recipe, kind and worn say the same
	recipe    string    // what is made of the values; empty is what a copy is by default
	worn      kube.Worn // the labels and annotations that the copy is to wear
	suspended suspension

	path   string
	vault  *fault.Outage
	source vault.State // of all values together; Version is that of path
	parts  []part      // the further values
	others string      // their versions, as a copy carries them
	held   bool        // the values, in just those versions, are in memory

	cluster   *fault.Outage
	throttled time.Time // the cluster asked us not to write before that
	seen      kube.Seen

	// Of a share: what the definition may have of what it asks for, and what is
	// another's. nil: it is no share.
	may   *kube.Claim
	taken []kube.Taken

	record record
}

// action is what is done about a place.
type action uint8

const (
	stay    action = iota // nothing, until something changes
	wait                  // nothing, before a while has passed
	know                  // have the vault asked for the newest version
	confirm               // have the vault asked again whether an older version is right
	fetch                 // have the value read
	read                  // read the one Secret that stands in the place
	try                   // try without effect whether a write would do now
	create                // write the missing copy
	update                // write over the Secret that stands there
	replace               // delete the copy, which refuses updates, and create it
)

func (a action) String() string {
	return [...]string{"stay", "wait", "know", "confirm", "fetch", "read", "try", "create", "update", "replace"}[a]
}

// writes reports whether it changes something in the cluster.
func (a action) writes() bool { return a >= create }

// decision is what is to be done about a place, why, and how its target stands
// until that is done.
type decision struct {
	action action
	why    string       // for people who read logs
	fault  *fault.Fault // nil: Synced
	since  time.Time    // since when the fault is, if it is an outage's; else zero
	want   kube.Stamp   // what the copy is to be made of, once a version is known
	// value: the value is needed; have it read meanwhile, if it is not there.
	value bool
	// drift: the copy was right and is not any more, and not for a new version.
	drift bool
	// right: value and copy agree, as far as can be known, whatever fault says.
	right bool
	// again is after how long to decide anew if nothing changes; zero is never.
	again time.Duration
}

// decide works out what is to be done about a place. It looks at nothing but
// its input, and is asked for every pass and for every status alike.
//
// In order: what keeps us from acting at all; whether what stands there is ours;
// whether there is a value to copy; whether the copy is right; what keeps it
// from being made right; and how that is done.
func decide(in *input) decision {
	d := inCluster(in)
	if in.suspended != working {
		return hold(in, d)
	}
	if d.action >= fetch {
		d = heldBack(in, d)
	}
	if d.fault != nil && d.fault.Reason == ReasonQueued && d.since.IsZero() && in.record.fight.lasts(in.now) {
		d.fault = contended(in, in.seen.Copy) // also while it is put right once more
	}
	if in.vault != nil && (d.fault == nil || concernsVault(d.fault.Reason)) && d.since.IsZero() {
		// Whatever is known may be outdated. What can be done is done all the same.
		d.fault, d.since = &in.vault.Fault, in.vault.Since
	}
	return d
}

// heldBack puts off what failed a moment ago, and what the cluster asked us not
// to do yet.
func heldBack(in *input, d decision) decision {
	a := in.record.attempt
	switch {
	case a.about(in, d.want) && a.until.After(in.now):
		return decision{action: wait, why: "the last attempt failed", fault: a.fault, want: d.want, again: a.until.Sub(in.now), drift: d.drift}
	case in.throttled.After(in.now):
		return decision{action: wait, why: "the cluster asks us to wait", fault: throttled(in), want: d.want, value: in.held, again: in.throttled.Sub(in.now), drift: d.drift}
	case a.about(in, d.want) && !d.right:
		d.fault = a.fault // it is being tried again: until that ends, the cause is the one that is known
	}
	return d
}

// concernsVault tells the reasons that a vault which can't be asked casts doubt
// on from those that stand whatever the vault says.
func concernsVault(r Reason) bool {
	switch r {
	case ReasonQueued, ReasonValueNotFound, ReasonValueDeleted, ReasonInvalidKey, ReasonValueTooLarge, ReasonKeyNotFound, ReasonTemplateFailed,
		ReasonVaultForbidden, ReasonVaultUnavailable:
		return true
	}
	return false
}

// inCluster decides what depends on the cluster and the namespace.
func inCluster(in *input) decision {
	switch {
	case in.cluster != nil:
		f := in.cluster.Fault
		f.Message = "cluster " + in.alias + ": " + f.Message
		return decision{why: "the cluster takes no work", fault: &f, since: in.cluster.Since}
	case in.seen.Namespace == kube.NamespaceMissing:
		return decision{why: "no namespace", fault: namespaceNotFound(in)}
	case in.seen.Namespace == kube.NamespaceTerminating:
		return decision{why: "the namespace ends", fault: namespaceEnds(in)}
	case in.seen.Fault != nil:
		return decision{why: "the namespace can't be seen", fault: in.seen.Fault}
	}
	if in.may != nil {
		return joining(in)
	}
	return whose(in)
}

// whose decides by whose Secret stands in the place.
func whose(in *input) decision {
	c := in.seen.Copy
	switch {
	case c == nil && in.seen.Left:
		// The value is needed in either case, so it is read at the same time.
		return decision{action: read, value: true, why: "the copy was deleted or lost its labels", fault: copyLeft, drift: in.record.stood(in)}
	case c == nil:
		return byValue(in, nil)
	case c.Format.Newer() && !c.Watched && !in.record.look.of(in, c):
		return decision{action: read, why: "what stands there is of a newer format", fault: newerFormat(in)}
	case c.Format.Newer():
		return decision{why: "what stands there is of a newer format", fault: newerFormat(in), again: unwatched(in, c)}
	case c.Owner.Tenant == in.owner.Tenant && len(c.Sharers()) > 0 && !c.Alone(in.owner):
		return decision{why: "others share the Secret", fault: sharedBy(in, c)}
	case c.Owner.Tenant == in.owner.Tenant && (c.Filled() || c.Alone(in.owner)):
		// Another definition's copy of the same tenant, too: none that is at
		// HEAD has it, or this one would not have the place.
		return byValue(in, c)
	case !in.record.look.of(in, c):
		return decision{action: read, why: "a Secret that is not ours stands in the place", fault: notOwned(in)}
	case c.Adoptable(in.owner):
		if c.Type != kindOf(in.kind) || c.Owned || c.Immutable {
			return decision{why: "it may be taken over, but it can't be", fault: typeMismatch(in, c), again: unwatched(in, c)}
		}
		return byValue(in, c)
	}
	return decision{why: "a Secret that is not ours stands in the place", fault: notOwned(in), again: unwatched(in, c)}
}

// unwatched is when to look again at a Secret of whose changes nobody tells.
func unwatched(in *input, c *kube.Copy) time.Duration {
	if c.Watched {
		return 0
	}
	return max(time.Millisecond, in.record.look.at.Add(in.interval).Sub(in.now))
}

// byValue decides by what the vault says, for a place that is ours to fill.
func byValue(in *input, c *kube.Copy) decision {
	s := &in.source
	switch {
	case s.Fault != nil:
		return decision{why: "no value to copy", fault: copyStays(s.Fault, c)}
	case !s.Known && whole(in, c):
		// The version alone may tell that nothing is to be done.
		return decision{action: know, why: "has the version changed?", fault: askingVersion}
	case !s.Known:
		return decision{action: fetch, value: true, why: difference(in, c), fault: askingValue}
	}
	want := in.stamp()
	if older(in, c) {
		return decision{action: confirm, want: want, why: "the vault answers an older version than was copied",
			fault: queued("the vault answers version %d, which is older than version %d that was copied; it is asked again", want.Version, c.Version)}
	}
	if part := olderPart(in, c); part != "" {
		return decision{action: confirm, want: want, why: "the vault answers an older version than was copied",
			fault: queued("the vault answers an older version of %s than was copied; it is asked again", part)}
	}
	if u := in.record.unfit; u != nil && u.want == want {
		return decision{want: want, why: "no copy can be made of the value", fault: u.fault}
	}
	var d decision
	if in.isRight(c, want) {
		d = agreed(in, c)
	} else {
		d = repair(in, c, want)
	}
	d.want = want
	return d
}

// whole reports whether a copy is right but for what the vault may say.
func whole(in *input, c *kube.Copy) bool {
	return c != nil && c.Path == in.path && c.Recipe == in.recipe && in.isRight(c, c.Stamp)
}

// isRight reports whether a Secret, or the share of one, is as it should be.
func (in *input) isRight(c *kube.Copy, want kube.Stamp) bool {
	return c.Right(in.owner, want, in.kind, in.worn) && (in.may == nil || c.Has(*in.may))
}

// agreed decides about a copy that is right.
func agreed(in *input, c *kube.Copy) decision {
	d := decision{right: true, why: "value and copy agree"}
	switch {
	case c.Unconfirmed:
		d.right = false
		d.fault = queued("version %d was written; what became of it is being looked at", c.Version)
	case c.Altered != nil:
		return altered(in, c)
	case in.record.fight.lasts(in.now):
		d.fault, d.again = contended(in, c), in.record.fight.over().Sub(in.now)
	case len(in.taken) > 0:
		d.why, d.fault = "some of it is another's", keyConflict(in)
	case in.source.Asked:
		d.fault = askingAgain
	}
	return d
}

// altered decides about a copy that admission made something else of.
func altered(in *input, c *kube.Copy) decision {
	d := decision{why: "admission changes what is written", fault: alteredFault(in, c)}
	if d.again = in.record.sent.tried().Add(in.interval).Sub(in.now); d.again <= 0 {
		// Trying needs the value.
		d.action, d.value, d.again = try, true, 0
		if !in.held {
			d.action = fetch
		}
	}
	return d
}

// repair decides how a copy that is missing or wrong is made right.
func repair(in *input, c *kube.Copy, want kube.Stamp) decision {
	r := &in.record
	if c != nil && c.Altered != nil && r.sent.equals(in.owner, want, in.kind) {
		return altered(in, c)
	}
	d := decision{action: create, value: true, why: difference(in, c), drift: r.stood(in)}
	if c != nil {
		d.action = update
		switch {
		case c.Deleting:
			return decision{why: "the old Secret is being deleted", fault: terminating(in, c), drift: d.drift}
		case in.may != nil && c.Immutable:
			return decision{why: "immutable, and not ours alone", fault: typeMismatch(in, c)}
		case in.may != nil:
		case c.Type != kindOf(in.kind) && !c.Intact:
			return decision{why: "of another type, and not as we wrote it", fault: typeMismatch(in, c)}
		case c.Immutable && !c.Intact:
			// Its data can't have been edited: it is a copy that a person made, or
			// another server's, and to replace it is to delete it.
			return decision{why: "immutable, and not as we wrote it", fault: typeMismatch(in, c)}
		case c.Type != kindOf(in.kind), c.Immutable:
			d.action = replace
		}
	}
	switch {
	case r.fight.pauses(in.now) && r.fight.about == want:
		return decision{action: wait, why: "somebody goes on changing it", fault: contended(in, c), again: r.fight.until.Sub(in.now), drift: d.drift}
	case !in.held:
		d.action = fetch
		d.fault = queued("version %d is being read from the vault: %s", want.Version, d.why)
	default:
		d.fault = queued("version %d is being written: %s", want.Version, d.why)
	}
	return d
}

// difference names the first thing in which a copy is not as it should be.
func difference(in *input, c *kube.Copy) string {
	switch {
	case c == nil:
		return "no copy yet"
	case in.may != nil && !c.Part:
		return "its keys are not in the Secret yet"
	case c.Owner != in.owner:
		return "it was another definition's copy"
	case !c.Labelled:
		return "labels are missing"
	case c.Path != in.path:
		return "another path"
	case c.Type != kindOf(in.kind):
		return "another type"
	case !c.Intact:
		return "the copy was edited"
	case c.Recipe != in.recipe:
		return "the definition makes something else of the value"
	case in.source.Known && bears(c) != in.source.Version:
		return "another version"
	case in.source.Known && c.Others != in.others:
		return "another version of a further path"
	case in.may != nil && !c.Has(*in.may):
		return "other keys than before are to be had"
	case c.Worn != in.worn:
		return "labels or annotations were changed"
	}
	return "the copy is not right"
}

func kindOf(kind string) string {
	if kind == "" {
		return kube.TypeOpaque
	}
	return kind
}

// copyStays says of a value that is gone altogether that its copy is not.
func copyStays(f *fault.Fault, c *kube.Copy) *fault.Fault {
	if f.Reason != ReasonValueNotFound || c == nil {
		return f
	}
	stays := *f
	stays.Message += "; the copy of the last one stays as it is"
	return &stays
}

// What is told so often, and of so many at once, that it is made once.
var (
	copyLeft      = queued("the copy was deleted or lost its labels; it is put right")
	askingVersion = queued("the vault is being asked for the version")
	askingValue   = queued("the value is being read from the vault")
	askingAgain   = queued("the value is being read again from the vault")
)

func queued(format string, args ...any) *fault.Fault {
	return fault.New(Pending, ReasonQueued, format, args...)
}

func namespaceNotFound(in *input) *fault.Fault {
	return fault.New(Pending, ReasonNamespaceNotFound, "namespace %s does not exist in cluster %s; it goes on as soon as somebody creates it", in.at.Namespace, in.alias)
}

func namespaceEnds(in *input) *fault.Fault {
	return fault.New(Pending, ReasonNamespaceTerminating, "namespace %s in cluster %s is being deleted; it goes on when it is there again", in.at.Namespace, in.alias)
}

func notOwned(in *input) *fault.Fault {
	return fault.New(Error, ReasonNotOwned, "Secret %s in cluster %s exists and is not this definition's; it is not touched. Delete it, choose another secretName, or let it be taken over by annotating it: kubectl -n %s annotate secret %s %s=%s", in.at, in.alias, in.at.Namespace, in.at.Name, kube.AnnotationAdopt, in.owner)
}

func newerFormat(in *input) *fault.Fault {
	if len(in.seen.Copy.Sharers()) > 0 {
		return fault.New(Error, ReasonNewerFormat, "what Secret %s in cluster %s carries, or the record of one of those who share it, is of %s, which a newer version of secretsync wrote, and this one knows format %d at most; it is left as it is. Run the newer version",
			in.at, in.alias, in.seen.Copy.Format, kube.KnownFormat)
	}
	return fault.New(Error, ReasonNewerFormat, "what Secret %s in cluster %s carries is of %s, which a newer version of secretsync wrote, and this one knows format %d at most; it is left as it is. Run the newer version, or take that annotation off: kubectl -n %s annotate secret %s %s-",
		in.at, in.alias, in.seen.Copy.Format, kube.KnownFormat, in.at.Namespace, in.at.Name, kube.AnnotationFormat)
}

func typeMismatch(in *input, c *kube.Copy) *fault.Fault {
	because := fmt.Sprintf("is of type %s, not %s", fault.Clean(c.Type), kindOf(in.kind))
	switch {
	case c.Type != kindOf(in.kind):
	case c.Owned:
		because = "belongs to another object (it has an owner reference)"
	case c.Immutable:
		because = "is immutable"
	}
	return fault.New(Error, ReasonTypeMismatch, "Secret %s in cluster %s %s, so it is not taken over; delete it, or choose another secretName", in.at, in.alias, because)
}

func terminating(in *input, c *kube.Copy) *fault.Fault {
	return fault.New(Pending, ReasonSecretTerminating, "Secret %s in cluster %s is being deleted, and its finalizers keep it: %s; it is written anew when it is gone", in.at, in.alias, fault.Clean(fmt.Sprint(c.Finalizers)))
}

func alteredFault(in *input, c *kube.Copy) *fault.Fault {
	return fault.New(Error, ReasonAltered, "admission in cluster %s changes Secret %s as it is written: it %s. It is not written again and again; exempt Secrets with the label %s from that webhook or policy, and it is put right within %s", in.alias, in.at, c.Altered, kube.LabelTenant, in.interval)
}

func contended(in *input, c *kube.Copy) *fault.Fault {
	who := "somebody"
	if m := in.record.fight.manager(c); m != nil {
		who = "field manager " + fault.Clean(m.Name)
		if m.Second {
			who = "another server of secretsync that has the same definitions"
		}
	}
	return fault.New(Error, ReasonContended, "%s changes or deletes Secret %s in cluster %s again and again (%d times since %s); it is put right with growing pauses, %s at present. Have that stopped, or choose another secretName",
		who, in.at, in.alias, in.record.fight.count, in.record.fight.began.UTC().Format(time.RFC3339), in.record.fight.pause())
}

func throttled(in *input) *fault.Fault {
	return fault.Transient(Pending, ReasonQueued, "cluster %s asks us to wait before it is written", in.alias)
}
