package copies

import (
	"hash/maphash"
	"maps"
	"slices"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/share"
)

// Which of what a definition asks for of a Secret that several share it may have; see
// package share for the rules.

// Claim is what a definition asks for of a Secret that it shares, or may have of it.
type Claim struct {
	Keys                []string // sorted
	Labels, Annotations map[string]string
	// Keeps are of what it may have the keys that it had and asks for no more, and others
	// do; sorted. They stay as they are, listed in its record, till one of those takes them.
	Keeps []string
}

// asks reports whether an entry is among what is asked for.
func (c Claim) asks(e share.Entry) (yes bool) {
	switch e.Kind {
	case share.Data:
		_, yes = slices.BinarySearch(c.Keys, e.Name)
	case share.Label:
		_, yes = c.Labels[e.Name]
	default:
		_, yes = c.Annotations[e.Name]
	}
	return yes
}

// Taken is an entry that is another's.
type Taken struct {
	share.Entry
	By      Owner  // the definition of the same tenant whose it is; zero: nobody's of those
	Manager string // who manages it; empty where nobody can tell
}

// Divide says which of what a definition asks for it may have, and which is
// another's. others are what the other definitions of its tenant ask for that are at work
// on this Secret. Where it is the definition's own copy as a whole, all may be had.
func (c *Copy) Divide(o Owner, asked Claim, others map[Owner]Claim) (may Claim, taken []Taken) {
	switch {
	case c != nil && c.shared == nil && c.Owner == o:
		return asked, nil
	case c != nil && c.shared == nil:
		return Claim{}, nil // another's as a whole
	}
	free := func(kind share.Kind, name, text string) bool {
		t, has := c.taken(o, share.Entry{Kind: kind, Name: name}, text, others)
		if t != nil {
			taken = append(taken, *t)
		}
		return has
	}
	for _, key := range asked.Keys {
		if free(share.Data, key, "") {
			may.Keys = append(may.Keys, key)
		}
	}
	some := func(kind share.Kind, all map[string]string) map[string]string {
		var had map[string]string
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if free(kind, name, all[name]) {
				if had == nil {
					had = make(map[string]string, len(all))
				}
				had[name] = all[name]
			}
		}
		return had
	}
	may.Labels, may.Annotations = some(share.Label, asked.Labels), some(share.Annotated, asked.Annotations)
	return may, taken
}

// taken says of an entry that o asks for, with that text, whether it has it, and whose it
// is if not; nil: nobody's, or it agrees as it is. See package share for the rules.
func (c *Copy) taken(o Owner, e share.Entry, text string, others map[Owner]Claim) (t *Taken, has bool) {
	var h *sharing
	if c != nil {
		h = c.shared
	}
	held, there := h.holds(e)
	switch by := h.keeper(o, e, others); {
	case by == o && (!held.declared() || c.Adoptable(o)):
		return nil, true
	case by == o:
		return &Taken{Entry: e, By: o, Manager: fault.Clean(held.manager.Name)}, false
	case by != (Owner{}):
		return &Taken{Entry: e, By: by}, false
	}
	free := !there || held.isFree(e, o.Tenant)
	if free || c.Adoptable(o) {
		if first := foremost(o, e, others, func(other Owner) bool { return free || c.Adoptable(other) }); first != o {
			return &Taken{Entry: e, By: first}, false
		}
		return nil, true
	}
	switch {
	case held.by != (Owner{}) && held.by.Tenant != o.Tenant: // whatever the label says
		return &Taken{Entry: e}, false
	case e.Kind != share.Data && held.text == maphash.String(seed, text):
		return nil, false
	}
	return &Taken{Entry: e, Manager: fault.Clean(held.manager.Name)}, false
}

// holds returns how an entry stands, if it does.
func (h *sharing) holds(e share.Entry) (held holding, there bool) {
	if h != nil {
		held, there = h.entries[e]
	}
	return held, there
}

// keeper is whose record lists an entry that it asks for, be the entry there or not: o,
// or one of the others; zero where none does.
func (h *sharing) keeper(o Owner, e share.Entry, others map[Owner]Claim) Owner {
	if h == nil {
		return Owner{}
	}
	lists := func(by Owner) bool { stamp := h.stamps[by]; return stamp.Lists(e) }
	if lists(o) {
		return o
	}
	for other, claim := range others {
		if claim.asks(e) && lists(other) {
			return other
		}
	}
	return Owner{}
}

// isFree reports whether an entry that is there is nobody's of those at work, and none
// of other people's either: it is what we wrote.
func (h holding) isFree(e share.Entry, tenant string) bool {
	switch {
	case h.declared(), h.by != (Owner{}) && h.by.Tenant != tenant:
		return false
	case h.manager.Name == FieldManager:
		return true
	}
	return h.by != (Owner{}) && (e.Kind != share.Data || h.proven)
}

// Keeps are the keys of the share of o that stand as we wrote them and that it asks for no
// more, while others of its tenant do; sorted. To take one off the Secret would take it from
// them, who may have no value yet. Which keys a copy as a whole has is not known: of that
// they are all that others ask for.
// A label or an annotation is never among them: a Secret without one for a moment is not
// without its value, and keys that are to go would stay for its sake.
func (c *Copy) Keeps(o Owner, asked Claim, others ...map[Owner]Claim) (keys []string) {
	if c == nil || c.shared == nil && c.Owner != o {
		return nil
	}
	for _, some := range others {
		for _, claim := range some {
			for _, key := range claim.Keys {
				if e := (share.Entry{Kind: share.Data, Name: key}); !asked.asks(e) && (c.shared == nil || c.shared.gives(o, e)) {
					keys = append(keys, key)
				}
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// gives reports whether a key is in the share of o as we wrote it, and whoever else asks
// for it may have it.
func (h *sharing) gives(o Owner, e share.Entry) bool {
	held, stamp := h.entries[e], h.stamps[o]
	return held.by == o && stamp.Lists(e) && held.proven && held.isFree(e, o.Tenant)
}

// PassesTo reports whether a key of a share passes to others of its tenant, who ask for it,
// once the share is nobody's any more.
func (c *Copy) PassesTo(others map[Owner]Claim) bool {
	return c.Part && len(c.Keeps(c.Owner, Claim{}, others)) > 0
}

// foremost is who comes first of those who ask for an entry and may have it, o among
// them: the least name.
func foremost(o Owner, e share.Entry, others map[Owner]Claim, may func(Owner) bool) Owner {
	first := o
	for other, claim := range others {
		if other.Name < first.Name && claim.asks(e) && may(other) {
			first = other
		}
	}
	return first
}

// Surplus reports whether the share of o lists a key that it does not ask for. A copy that it
// has as a whole may well hold one.
func (c *Copy) Surplus(o Owner, asked Claim) bool {
	if c != nil && c.shared == nil {
		return c.Owner == o
	}
	return slices.ContainsFunc(c.Keys(), func(key string) bool { return !asked.asks(share.Entry{Kind: share.Data, Name: key}) })
}

// Has reports whether a share is of just what is claimed, and of what it keeps.
func (c *Copy) Has(claim Claim) bool {
	if c == nil || !c.Part {
		return false
	}
	stamp := c.shared.stamps[c.Owner]
	keys := claim.Keys
	if len(claim.Keeps) > 0 {
		keys = slices.Sorted(slices.Values(slices.Concat(keys, claim.Keeps)))
	}
	return slices.Equal(slices.Sorted(maps.Keys(stamp.Keys)), keys) &&
		slices.Equal(stamp.Labels, slices.Sorted(maps.Keys(claim.Labels))) && slices.Equal(stamp.Annotations, slices.Sorted(maps.Keys(claim.Annotations)))
}
