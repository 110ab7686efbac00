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
// was seen: the keys that hold what we wrote, and the record.
func (c *Copy) LeavePatch() ([]byte, error) {
	patch := append(onlyIf(c), c.shared.removals(c.Owner, share.Stamp{})...)
	patch = append(patch, removal(share.Entry{Kind: share.Annotated, Name: share.Annotation(c.Owner.Name)}))
	if len(c.shared.parts) == 1 && c.Labelled {
		patch = append(patch, removal(share.Entry{Kind: share.Label, Name: LabelTenant}))
	}
	return encoded(patch)
}
