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

// Claim is what a definition asks for of a Secret that it shares.
type Claim struct {
	Keys                []string // sorted
	Labels, Annotations map[string]string
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
	free := !there || held.passes(e, o.Tenant)
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

// passes reports whether an entry that is there is nobody's of those at work, and none
// of other people's either: it is what we wrote.
func (h holding) passes(e share.Entry, tenant string) bool {
	switch {
	case h.declared(), h.by != (Owner{}) && h.by.Tenant != tenant:
		return false
	case h.manager.Name == FieldManager:
		return true
	}
	return h.by != (Owner{}) && (e.Kind != share.Data || h.proven)
}

// PassesTo reports whether a key of a share passes to others of its tenant, who ask for it,
// once the share is nobody's any more: to take it off the Secret would take that from them.
// A label or an annotation is no reason: a Secret without one for a moment is not without
// its value, and keys that are to go would stay for its sake.
func (c *Copy) PassesTo(others map[Owner]Claim) bool {
	if !c.Part || len(others) == 0 {
		return false
	}
	stamp := c.shared.stamps[c.Owner]
	for _, e := range stamp.Entries() {
		held, there := c.shared.entries[e]
		if e.Kind != share.Data || !there || !held.passes(e, c.Tenant) {
			continue
		}
		for _, claim := range others {
			if claim.asks(e) {
				return true
			}
		}
	}
	return false
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

// Has reports whether a share is of just what is claimed.
func (c *Copy) Has(claim Claim) bool {
	if c == nil || !c.Part {
		return false
	}
	stamp := c.shared.stamps[c.Owner]
	return slices.Equal(slices.Sorted(maps.Keys(stamp.Keys)), claim.Keys) &&
		slices.Equal(stamp.Labels, slices.Sorted(maps.Keys(claim.Labels))) && slices.Equal(stamp.Annotations, slices.Sorted(maps.Keys(claim.Annotations)))
}
