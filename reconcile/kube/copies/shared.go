package copies

import (
	"cmp"
	"crypto/sha256"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/share"
)

// What is known of a Secret that several share, or may come to share; see package
// share for the rules.

// sharing is what is kept besides of a Secret that is not one definition's copy: some
// 200 bytes an entry, so it is kept of no other. It is not changed after it was made.
type sharing struct {
	parts   map[Owner]*Copy // the shares, by whose they are
	stamps  map[Owner]share.Stamp
	entries map[share.Entry]holding
	others  bool // somebody but us manages something on it
	hasData bool
	named   bool // it bears LabelName, which no shared Secret does
}

// holding is how an entry stands.
type holding struct {
	by      Owner // in whose record it is listed; zero: in nobody's
	manager share.Manager
	text    uint64 // a hash of a label's or annotation's text
	proven  bool   // a key: it holds just what we wrote
}

// declared reports whether somebody else declares the entry by server-side apply.
func (h holding) declared() bool { return h.manager.Applied && h.manager.Name != FieldManager }

// sharedOf reads who has what on a Secret that is not one definition's copy. whole is
// what is known of it as a whole; its format becomes the newest of all records.
func (v Reader) sharedOf(s *corev1.Secret, whole *Copy) *sharing {
	h := &sharing{
		parts: make(map[Owner]*Copy), stamps: make(map[Owner]share.Stamp), entries: make(map[share.Entry]holding, len(s.Data)),
		hasData: s.Data != nil,
	}
	_, h.named = s.Labels[LabelName]
	managers := share.ManagersOf(s.ManagedFields, FieldManager)
	h.others = managers.Others
	for key := range s.Data {
		h.enter(share.Entry{Kind: share.Data, Name: key}, "", managers)
	}
	for name, text := range s.Labels {
		if !isOurs(name) {
			h.enter(share.Entry{Kind: share.Label, Name: name}, text, managers)
		}
	}
	for name, text := range s.Annotations {
		if definition, ok := share.Definition(name); ok {
			if stamp, ok := share.Parse(text); ok {
				h.stamps[Owner{Intern(stamp.Tenant), definition}] = stamp
			}
		} else if !isOurs(name) {
			h.enter(share.Entry{Kind: share.Annotated, Name: name}, text, managers)
		}
	}
	// What a record of a newer format lists is not known, so nothing on the Secret is.
	for _, stamp := range h.stamps {
		whole.Format = max(whole.Format, Format(stamp.Format))
	}
	at := Key{s.Namespace, s.Name}
	for o, stamp := range h.stamps {
		h.parts[o] = v.partOf(at, s, whole, h, o, stamp)
	}
	return h
}

func (h *sharing) enter(e share.Entry, text string, managers share.Managers) {
	e.Name = Intern(e.Name)
	held := holding{manager: managers.Of(e)}
	if e.Kind != share.Data {
		held.text = maphash.String(seed, text)
	}
	h.entries[e] = held
}

// partOf makes a record of one share.
func (v Reader) partOf(at Key, s *corev1.Secret, whole *Copy, h *sharing, o Owner, stamp share.Stamp) *Copy {
	p := *whole
	p.Owner, p.Part, p.shared, p.Manager, p.Altered = o, true, h, nil, nil
	p.Stamp = Stamp{Path: stamp.Path, Version: stamp.Version, Created: stamp.Created, Recipe: Intern(stamp.Recipe), Others: stamp.Others}
	p.Commit, p.Deletes = Intern(stamp.Commit), stamp.Deletes
	p.Labelled = whole.Watched && s.Labels[LabelTenant] == o.Tenant
	sum := sha256.New()
	p.Intact = len(stamp.Keys) > 0
	for _, e := range stamp.Entries() {
		held, there := h.entries[e]
		if there {
			held.by = o
			if m := held.manager; m.Name != FieldManager && m.Name != "" && (p.Manager == nil || m.Time.After(p.Manager.Time)) {
				p.Manager = &Manager{Name: fault.Clean(m.Name), Time: m.Time}
			}
		}
		if e.Kind == share.Data {
			value := s.Data[e.Name]
			proof := v.Hasher.Prove(v.Cluster, at, o, e.Name, value)
			held.proven = there && proof == stamp.Keys[e.Name]
			p.Intact = p.Intact && held.proven
			sum.Write([]byte(e.Name + "\x00" + proof + "\n"))
		}
		if there {
			h.entries[e] = held
		}
	}
	sum.Sum(p.Digest[:0])
	p.Worn = applied{stamp.Labels, stamp.Annotations}.worn(s.Labels, s.Annotations)
	return &p
}

// Whole reports whether a Secret is one definition's copy as a whole.
func (c *Copy) Whole() bool { return c.shared == nil }

// PartOf is what a Secret is to one of those who share it: their share or, where they
// have none on it, the Secret as it is. It is nil for nil.
func (c *Copy) PartOf(o Owner) *Copy {
	if c == nil || c.shared == nil {
		return c
	}
	if p := c.shared.parts[o]; p != nil {
		return p
	}
	return c
}

// Sharers are those who have a share of the Secret, sorted.
func (c *Copy) Sharers() []Owner {
	if c == nil || c.shared == nil {
		return nil
	}
	return slices.SortedFunc(maps.Keys(c.shared.parts), func(a, b Owner) int { return cmp.Compare(a.String(), b.String()) })
}

// Alone reports whether everything that the Secret holds is the share of o, and as it
// was written.
func (c *Copy) Alone(o Owner) bool {
	if c.shared == nil || len(c.shared.parts) != 1 || c.shared.parts[o] == nil {
		return false
	}
	for e, held := range c.shared.entries {
		if e.Kind == share.Data && (held.by != o || !held.proven) {
			return false
		}
	}
	return true
}

// Filled reports whether a Secret with our tenant's label is one definition's copy as
// a whole, as far as can be told: it names one, bears what only such a copy does, or
// has no data but what we wrote. The label alone does not say so, since it stands on
// each Secret that is shared.
func (c *Copy) Filled() bool {
	if c.Name != "" || c.Path != "" || c.shared == nil {
		return true
	}
	for e, held := range c.shared.entries {
		if e.Kind == share.Data && held.manager.Name != FieldManager {
			return false
		}
	}
	return true
}

// Theirs reports whether a Secret on which o has no share is another tenant's by its
// records: it lost the label that says so, or one stands where o's own would.
func (c *Copy) Theirs(o Owner) bool {
	if c.Part || c.shared == nil {
		return false
	}
	for other := range c.shared.stamps {
		if other.Tenant != o.Tenant && (!c.Watched || other.Name == o.Name) {
			return true
		}
	}
	return false
}

// Shared are the keys of a Secret that definitions of a tenant share, each with the
// definition whose record lists it.
func (c *Copy) Shared(tenant string) map[string]string {
	if c == nil || c.shared == nil {
		return nil
	}
	keys := make(map[string]string)
	for o, stamp := range c.shared.stamps {
		if o.Tenant == tenant {
			for key := range stamp.Keys {
				keys[key] = o.Name
			}
		}
	}
	return keys
}

// Keys are those that a share lists, sorted; nil for what is no share.
func (c *Copy) Keys() []string {
	if c == nil || !c.Part {
		return nil
	}
	return append([]string{}, slices.Sorted(maps.Keys(c.shared.stamps[c.Owner].Keys))...)
}

// same reports whether nothing differs that anybody has to act on.
func (h *sharing) same(o *sharing) bool {
	if h == nil || o == nil {
		return h == o
	}
	return maps.EqualFunc(h.parts, o.parts, func(a, b *Copy) bool { return a.alike(b) }) && maps.Equal(h.entries, o.entries)
}

// carry takes over what only the state before tells of shares: what admission made of
// them, while that is what stands.
func (h *sharing) carry(old *sharing) {
	if h == nil || old == nil {
		return
	}
	for o, p := range h.parts {
		if was := old.parts[o]; was != nil && was.Altered != nil && was.Digest == p.Digest && was.Stamp == p.Stamp && was.Worn == p.Worn {
			p.Altered = was.Altered
		}
	}
}

// Counted are what a Secret counts as: its shares where it has some, else itself if it
// is anybody's copy.
func (c *Copy) Counted() iter.Seq[*Copy] {
	return func(yield func(*Copy) bool) {
		switch {
		case c == nil:
		case c.shared != nil && len(c.shared.parts) > 0:
			for _, p := range c.shared.parts {
				if !yield(p) {
					return
				}
			}
		case c.Owner != (Owner{}):
			yield(c)
		}
	}
}

// isOurs tells labels and annotations of the copy of one definition from those that
// may be shared.
func isOurs(name string) bool {
	return name == LabelManagedBy || strings.HasPrefix(name, "secretsync.dev/")
}
