package copies

import "secretsync/reconcile/kube/share"

// Last reports whether without the share nothing would be left of its Secret, to which
// nobody but us ever wrote.
func (c *Copy) Last() bool {
	h := c.shared
	return len(h.entries) == len(h.removals(c.Owner, share.Stamp{})) && len(h.parts) == 1 && !h.others && !c.Owned && len(c.Finalizers) == 0
}

// Proven reports whether a Secret holds just what we wrote, as a copy or as the share of o
// of which it is the [Copy.Last], so that it can be deleted and made anew.
func (c *Copy) Proven(o Owner) bool {
	p := c.PartOf(o)
	return c.Intact || p.Part && p.Last()
}

// LeavePatch is the JSON patch that takes a share off its Secret, if that still is as it
// was seen: the keys that hold what we wrote, and the record. Of keys that it keeps the
// record stays; see [Claim].
func (c *Copy) LeavePatch(keeps []string) ([]byte, error) {
	left := c.shared.stamps[c.Owner]
	left.Keys, left.Labels, left.Annotations = c.shared.proofs(c.Owner, keeps), nil, nil
	patch := append(onlyIf(c), c.shared.removals(c.Owner, left)...)
	name := share.Annotation(c.Owner.Name)
	if !left.Empty() {
		return encoded(appendEntries(patch, "/metadata/annotations", map[string]string{name: left.Text()}, true))
	}
	patch = append(patch, removal(share.Entry{Kind: share.Annotated, Name: name}))
	if len(c.shared.parts) == 1 && c.Labelled {
		patch = append(patch, removal(share.Entry{Kind: share.Label, Name: LabelTenant}))
	}
	return encoded(patch)
}
