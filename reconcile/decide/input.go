package decide

import (
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/vault"
	"secretsync/reconcile/vault/kv"
)

// Input is all that a decision about a place goes by: how the three places
// look at this moment, and what is remembered of what was done before.
type Input struct {
	Now   time.Time
	At    copies.Key
	Owner copies.Owner // of the target that has the place
	Alias string       // its cluster, as the tenant names it
	Type  string       // the type its copy is to have; empty is Opaque
	// Interval is after how long something that only a person can mend is
	// looked at again.
	Interval time.Duration

	Recipe    string      // what is made of the values; empty is what a copy is by default
	Worn      copies.Worn // the labels and annotations that the copy is to wear
	Suspended Suspension
	// Fenced: nothing may be written for the tenant at the moment, which is seen to elsewhere.
	Fenced bool

	Path   string
	Vault  *fault.Outage
	Source vault.State // of all values together; Version is that of Path
	Parts  []Part      // the further values; see Combine
	others string      // their versions, as a copy carries them
	Held   bool        // the values, in just those versions, are in memory

	Cluster   *fault.Outage
	Throttled time.Time // the cluster asked us not to write before that
	Seen      mirror.Seen

	// Of a share: what the definition may have of what it asks for, and what is
	// another's; see Share. May nil: it is no share.
	May   *copies.Claim
	taken []copies.Taken
	Whole string // the definition that claims the Secret as a whole; empty: none does

	// Unsure: the definition whose copy stands there may turn out to claim the place.
	Unsure bool

	Record Record
}

// Suspension says who had the writing of a copy suspended.
type Suspension uint8

// Who can.
const (
	Working      Suspension = iota // nobody has
	ByDefinition                   // the definition says suspend: true
	ByOperator                     // the configuration of its tenant says so
)

// Share makes the input that of a share. others are what the other definitions of the
// tenant ask for that claim one of the same Secret, and coming what those do of which it is
// not known yet whether they claim one.
func (in *Input) Share(claim copies.Claim, others, coming map[copies.Owner]copies.Claim) {
	in.Seen.Copy = in.Seen.Copy.PartOf(in.Owner)
	may, taken := in.Seen.Copy.Divide(in.Owner, claim, others)
	may.Keeps = in.Seen.Copy.Keeps(in.Owner, claim, others, coming)
	in.May, in.taken = &may, taken
	in.Worn = copies.Wear(may.Labels, may.Annotations)
	if c := in.Seen.Copy; c != nil {
		in.Type = c.Type // which is not for the definition to say
	}
}

// Version tells apart what the vault holds for the copy, further paths included.
func (in *Input) Version() kv.Version {
	v := in.Source.Version
	v.Created += in.others
	return v
}
