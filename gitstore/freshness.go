package gitstore

import "time"

// Freshness says how a repository stands to the remote that it is a mirror of.
type Freshness struct {
	// Remote is the URL of the remote, with nothing secret in it. Empty: there is
	// none, and what is here is the truth.
	Remote string
	// Fetched is when, in UTC, the mirror was known to be what the remote holds
	// last. It is kept from one process to the next. Zero: never.
	Fetched time.Time
	// Confirmed: that was so since this process began to use that remote. Till
	// then the snapshot may be one of long ago, and what it lacks says nothing.
	Confirmed bool
	// Failing is why that is not known now, in words that may be shown to the
	// tenant; nil: it is, as of Fetched.
	Failing error
}

// Freshness tells how old what [Repository.Snapshot] shows may be. It never waits.
func (r *Repository) Freshness() Freshness { return Freshness{} }

// Hint says that the branch may have moved, as a webhook tells: it is looked at
// now, at the remote if there is one. Hints that come while it is being looked at
// become one. It never waits.
func (r *Repository) Hint() { r.notice() }
