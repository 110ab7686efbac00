package definition

import (
	"slices"
)

// Change is what an edit makes of a definition: each field that it names is
// replaced as a whole, and the others stay.
type Change struct {
	// Sync is the whole new list, if Fields holds "sync".
	Sync []Target
	// Shape holds the new values of the other fields that Fields names; one that is
	// not given in it is taken away.
	Shape *Shape
	// Fields are the names of the fields that are replaced, as in the file.
	Fields []string
}

// Fields are the names of all fields that a [Change] can name, in the order in which
// they are written anew: all of a definition but its name and its secretPath.
var Fields = []string{FieldType, FieldMode, FieldData, FieldLabels, FieldAnnotations, FieldDeletionPolicy, FieldSuspend, FieldRefreshInterval, FieldSync}

// SyncTo is the change of a definition's targets alone.
func SyncTo(sync []Target) Change { return Change{Sync: sync, Fields: []string{FieldSync}} }

// To is the change that makes of one definition another of the same name and path.
func To(d Definition) Change {
	return Change{Sync: d.Sync, Shape: d.Shape, Fields: slices.Clone(Fields)}
}

// Names reports whether the change replaces a field.
func (c Change) Names(field string) bool { return slices.Contains(c.Fields, field) }

// Apply returns the definition after the change. A failure matches [ErrInvalid].
func (c Change) Apply(d Definition) (Definition, error) {
	d = c.Of(d)
	return d, d.Check()
}

// Of is the definition after the change, which need not keep what its fields have to
// keep jointly.
func (c Change) Of(d Definition) Definition {
	if c.Names(FieldSync) {
		d.Sync = c.Sync
	}
	d.Shape = c.shapeOf(d.Shape)
	return d
}

// shapeOf is a shape after the change.
func (c Change) shapeOf(before *Shape) *Shape {
	var after, given Shape
	if before != nil {
		after = *before
	}
	if c.Shape != nil {
		given = *c.Shape
	}
	for _, field := range c.Fields {
		switch field {
		case FieldType:
			after.Type = given.Type
		case FieldMode:
			after.Mode = given.Mode
		case FieldData:
			after.Data = given.Data
		case FieldLabels:
			after.Labels = given.Labels
		case FieldAnnotations:
			after.Annotations = given.Annotations
		case FieldDeletionPolicy:
			after.DeletionPolicy = given.DeletionPolicy
		case FieldSuspend:
			after.Suspend = given.Suspend
		case FieldRefreshInterval:
			after.RefreshInterval = given.RefreshInterval
		}
	}
	if after.Equal(&Shape{}) {
		return nil
	}
	return &after
}
