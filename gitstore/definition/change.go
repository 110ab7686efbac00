package definition

import (
	"maps"
	"slices"
	"strconv"
	"strings"
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

const fieldSync = "sync"

// Fields are the names of all fields that a [Change] can name: all of a definition
// but its name and its secretPath.
var Fields = append(slices.Clone(shapeKeys), fieldSync)

// SyncTo is the change of a definition's targets alone.
func SyncTo(sync []Target) Change { return Change{Sync: sync, Fields: []string{fieldSync}} }

// To is the change that makes of one definition another of the same name and path.
func To(d Definition) Change {
	return Change{Sync: d.Sync, Shape: d.Shape, Fields: append(slices.Clone(shapeKeys), fieldSync)}
}

// Names reports whether the change replaces a field.
func (c Change) Names(field string) bool { return slices.Contains(c.Fields, field) }

// Apply returns the definition after the change. A failure matches [ErrInvalid].
func (c Change) Apply(d Definition) (Definition, error) {
	d.Sync, d.Shape = c.target(d)
	return d, d.Check()
}

// target is what the change makes of targets and shape.
func (c Change) target(d Definition) ([]Target, *Shape) {
	if c.Names(fieldSync) {
		d.Sync = c.Sync
	}
	return d.Sync, c.shapeOf(d.Shape)
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
		case fieldType:
			after.Type = given.Type
		case fieldMode:
			after.Mode = given.Mode
		case fieldData:
			after.Data = given.Data
		case fieldLabels:
			after.Labels = given.Labels
		case fieldAnnotations:
			after.Annotations = given.Annotations
		case fieldDeletionPolicy:
			after.DeletionPolicy = given.DeletionPolicy
		case fieldSuspend:
			after.Suspend = given.Suspend
		case fieldRefreshInterval:
			after.RefreshInterval = given.RefreshInterval
		}
	}
	if after.Equal(&Shape{}) {
		return nil
	}
	return &after
}

// ParseObject reads fields of a definition from the texts, truths, lists and
// mappings that a JSON object holds: all of [Change]'s, but neither name nor
// secretPath. null takes a field away. A failure names the field as in the HTTP
// contract, and matches [ErrInvalid].
func ParseObject(object map[string]any) (Change, error) {
	c := Change{}
	given := make(map[string]any, len(object))
	for _, field := range Fields {
		value, named := object[field]
		if !named {
			continue
		}
		c.Fields = append(c.Fields, field)
		if value != nil {
			given[field] = withoutNull(field, value)
		}
	}
	text := []byte(flowOf(given))
	p := &parser{json: true, unjoined: true}
	p.src = newSource(text)
	root, _, err := decodeNodes(text)
	if err != nil {
		return Change{}, invalid("body", "can't be read")
	}
	f := &document{source: p.src, root: root}
	entries, ok := p.mapping(root, "", definitionKeys)
	if ok {
		f.fields, f.sync = entries, entries[fieldSync]
		if f.sync.key != nil {
			c.Sync = p.sync(f)
		}
		c.Shape = p.shape(entries)
	}
	if len(p.problems) > 0 {
		return Change{}, p.problems[0].asField()
	}
	return c, nil
}

// withoutNull leaves out what is null of the members that the format names: not to
// send an optional one is the same. Names that people choose, such as those of
// labels, stand for something in any case.
func withoutNull(field string, v any) any {
	kept := func(v any) any {
		object, ok := v.(map[string]any)
		if !ok {
			return v
		}
		object = maps.Clone(object)
		maps.DeleteFunc(object, func(_ string, inner any) bool { return inner == nil })
		return object
	}
	switch v := v.(type) {
	case map[string]any:
		if field == fieldData {
			entries := make(map[string]any, len(v))
			for key, inner := range v {
				entries[key] = kept(inner)
			}
			return entries
		}
	case []any:
		targets := make([]any, len(v))
		for i, inner := range v {
			targets[i] = kept(inner)
		}
		return targets
	}
	return v
}

// asField is a mistake in a file as one in a field. Every cause begins with the
// field, a ':' or a blank, and what is wrong.
func (e *FileError) asField() error {
	if unknown, ok := strings.CutPrefix(e.Cause, "unknown key "); ok {
		quoted, rest, _ := strings.Cut(unknown, "; ")
		if name, err := strconv.Unquote(quoted); err == nil {
			return invalid(name, "is unknown; "+rest)
		}
	}
	field, why, ok := strings.Cut(e.Cause, ": ")
	if blank := strings.IndexByte(e.Cause, ' '); !ok || blank >= 0 && blank < len(field) {
		field, why, _ = strings.Cut(e.Cause, " ")
	}
	return invalid(field, why)
}
