package catalog

import "secretsync/gitstore/definition"

// Change is one definition that differs between two snapshots. Old is nil
// where it was added, New where it was removed.
type Change struct {
	Name definition.Name
	Old  *Entry
	New  *Entry
}

// Diff returns, sorted by name, what differs between two snapshots of one
// repository; a nil snapshot is an empty one. It depends on nothing but its
// arguments, so whoever skipped snapshots in between has lost nothing.
func Diff(old, new *Snapshot) []Change {
	if old == new {
		return nil
	}
	var before, after []*Entry
	if old != nil {
		before = old.entries
	}
	if new != nil {
		after = new.entries
	}
	var changes []Change
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].Name.String() < after[0].Name.String():
			changes = append(changes, Change{Name: before[0].Name, Old: before[0]})
			before = before[1:]
		case len(before) == 0 || after[0].Name.String() < before[0].Name.String():
			changes = append(changes, Change{Name: after[0].Name, New: after[0]})
			after = after[1:]
		default:
			if before[0] != after[0] {
				changes = append(changes, Change{Name: after[0].Name, Old: before[0], New: after[0]})
			}
			before, after = before[1:], after[1:]
		}
	}
	return changes
}
