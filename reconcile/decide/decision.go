package decide

import (
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// Action is what is done about a place.
type Action uint8

// The actions. Those from Read on ask something of the cluster, those from Create on write.
const (
	Stay    Action = iota // nothing, until something changes
	Wait                  // nothing, before a while has passed
	Know                  // have the vault asked for the newest version
	Confirm               // have the vault asked again whether an older version is right
	Fetch                 // have the value read
	Read                  // read the one Secret that stands in the place
	Leave                 // take the share off the Secret
	Try                   // try without effect whether a write would do now
	Create                // write the missing copy
	Update                // write over the Secret that stands there
	Replace               // delete the copy, which refuses updates, and create it
)

func (a Action) String() string {
	return [...]string{"stay", "wait", "know", "confirm", "fetch", "read", "leave", "try", "create", "update", "replace"}[a]
}

// Writes reports whether it writes a copy, or the share of one.
func (a Action) Writes() bool { return a >= Create }

// Decision is what is to be done about a place, why, and how its target stands
// until that is done.
type Decision struct {
	Action Action
	Why    string       // for people who read logs
	Fault  *fault.Fault // nil: Synced
	Since  time.Time    // since when the fault is, if it is an outage's; else zero
	Want   copies.Stamp // what the copy is to be made of, once a version is known
	// Value: the value is needed; have it read meanwhile, if it is not there.
	Value bool
	// Drift: the copy was right and is not any more, and not for a new version.
	Drift bool
	// Right: value and copy agree, as far as can be known, whatever Fault says.
	Right bool
	// Again is after how long to decide anew if nothing changes; zero is never.
	Again time.Duration
}
