package cleanup

// Copy is one Secret, and nothing else ever: a UID does not come again.
type Copy struct {
	Cluster   string // the UID of the cluster
	Namespace string
	Name      string
	UID       string
	Share     string // the definition whose share of the Secret it is; empty: all of it
	// Since is the newest commit that changed its definition. A copy that was
	// claimed again meanwhile is another one to whoever releases it.
	Since string
}

// Policy is what a definition says of its copies: the one at HEAD or, where there
// is none any more, the last one that was valid.
type Policy struct {
	Deletes   bool // a copy goes with its target
	Merges    bool // it shares its Secrets
	Suspended bool // nothing is done
}

// Candidate is a copy that is proven to be an orphan.
type Candidate struct {
	Copy
	Policy
	Marked   bool // the copy itself says that it goes with its target
	Owned    bool // it has an owner reference
	Wanted   bool // another definition may take it over, as it says itself
	Deleting bool // somebody deleted it already, and finalizers keep it
}

// Stays says in words why the copy stays; empty: it is to go.
func (c *Candidate) Stays() string {
	switch {
	case !c.Marked:
		return "the copy does not say that it goes with its target"
	case !c.Deletes:
		return "its definition does not say that it goes with its target"
	case c.Merges != (c.Share != ""):
		return "its definition has come to share its Secrets, or to fill them as a whole"
	case c.Suspended:
		return "its definition is suspended"
	case c.Owned:
		return "it has an owner reference, so another object answers for it"
	case c.Wanted:
		return "its annotation lets another definition take it over"
	case c.Deleting:
		return "it was deleted already, and finalizers keep it"
	}
	return ""
}
