package sweep

import (
	"errors"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/cleanup"
	"secretsync/reconcile/kube/copies"
)

// ErrNotYet: what is asked for can't be told before everything was seen.
// Asking again soon may succeed.
var ErrNotYet = errors.New("not known yet")

// Orphan is a Secret that bears a tenant's labels and that no definition of it
// claims, by whatever name of its cluster.
type Orphan struct {
	Cluster    definition.ClusterName // as the tenant names it
	Namespace  string
	Secret     string
	Definition string // whose copy it was, as it says
	VaultPath  string // what it is a copy of, as it says
	Commit     string // what it came from, as it says
	// Keys are those of the definition's share of a Secret that others may share too,
	// which stays when they go. nil: the Secret as a whole is the orphan.
	Keys []string
	// Doubt is why it is not proven to be a copy of ours that nobody needs any
	// more; empty where it is. One that is in doubt is shown and never deleted.
	Doubt string

	version   string            // the Secret's resource version
	candidate cleanup.Candidate // what the clean-up goes by, but for its definition
}

// OrphanOf is a copy or share that nobody claims, as it stands in a cluster: alias is
// the tenant's name of that, identity its own.
func OrphanOf(alias definition.ClusterName, identity string, at copies.Key, c *copies.Copy) Orphan {
	o := Orphan{
		Cluster: alias, Namespace: at.Namespace, Secret: at.Name, Definition: c.Name,
		VaultPath: c.Path, Commit: c.Commit, Keys: c.Keys(), version: c.ResourceVersion,
		candidate: CandidateOf(identity, at, c),
	}
	if !c.Intact {
		o.Doubt = "its hash does not hold: it was edited, or copied by somebody from elsewhere, or written by another server"
	}
	return o
}

// CandidateOf is what the clean-up goes by of a copy or share: all but what its
// definition says.
func CandidateOf(identity string, at copies.Key, c *copies.Copy) cleanup.Candidate {
	found := cleanup.Candidate{
		Copy:   cleanup.Copy{Cluster: identity, Namespace: at.Namespace, Name: at.Name, UID: c.UID},
		Marked: c.Deletes, Deleting: c.Deleting,
	}
	if c.Part {
		found.Share = c.Name // which takes nothing of others' with it
	} else {
		found.Owned, found.Wanted = c.Owned, c.Adopt != "" && c.Adopt != c.Owner.String()
	}
	return found
}

// Place is where it stands, by the tenant's name of the cluster.
func (o Orphan) Place() string { return o.Cluster.String() + "/" + o.Namespace + "/" + o.Secret }

// In is what of a Secret the orphan is; nil where that is not there any more, or is not
// just as it was listed.
func (o Orphan) In(c *copies.Copy) *copies.Copy {
	for part := range c.Counted() {
		if part.Name == o.Definition && part.Part == (o.Keys != nil) {
			if part.UID != o.candidate.UID || part.ResourceVersion != o.version {
				return nil
			}
			return part
		}
	}
	return nil
}

// same reports whether another listing shows the very Secret, unchanged.
func (o Orphan) same(other Orphan) bool {
	return o.candidate.UID == other.candidate.UID && o.version == other.version && o.Definition == other.Definition
}

// Unclaimed is what no definition of a tenant claims at one moment.
type Unclaimed struct {
	At      *catalog.Snapshot // that says so
	Orphans []Orphan          // those that are not in doubt by what they bear are to be proven yet
	All     int               // how many copies of the tenant are proven to be ours
	// Loose is how many say that they go with their target, and have none at work:
	// the orphans among them, and those that something may mean to claim yet.
	Loose int
}
