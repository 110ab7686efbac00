// Package kv owns what lies in a KV version 2 engine of a vault: a [Value] with its
// [Version], how it is read, how its newest version is asked for, and what the engine's
// answers mean: no value yet, a deleted one, an engine of another kind.
//
// It guarantees that no value is in a message, a log line or anything that is formatted,
// and that numbers and texts are, to the byte, those that the vault holds.
package kv

import (
	"time"
)

// Version names one version of a value. Both parts together tell apart a path
// that was removed and began again at 1.
type Version struct {
	Number  int
	Created string // created_time, as the vault wrote it
}

// IsZero reports whether it names none.
func (v Version) IsZero() bool { return v.Number == 0 }

// Before reports whether v was made before w, by what the vault says of when.
// Of times that can't be read none is before another.
func (v Version) Before(w Version) bool {
	if v.Created == w.Created {
		return false
	}
	a, err := time.Parse(time.RFC3339Nano, v.Created)
	if err != nil {
		return false
	}
	b, err := time.Parse(time.RFC3339Nano, w.Created)
	return err == nil && a.Before(b)
}
