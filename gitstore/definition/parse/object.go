package parse

import (
	"maps"
	"strconv"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
)

// Object reads fields of a definition from the texts, truths, lists and
// mappings that a JSON object holds: all of [definition.Change]'s, but neither name nor
// secretPath. null takes a field away. A failure names the field as in the HTTP
// contract, and matches [definition.ErrInvalid].
func Object(object map[string]any) (definition.Change, error) {
	c := definition.Change{}
	given := make(map[string]any, len(object))
	for _, field := range definition.Fields {
		value, named := object[field]
		if !named {
			continue
		}
		c.Fields = append(c.Fields, field)
		if value != nil {
			given[field] = withoutNull(field, value)
		}
	}
	text := []byte(yamltext.Flow(given))
	p := &parser{json: true, unjoined: true}
	p.src = yamltext.NewSource(text)
	root, _, err := yamltext.Decode(text)
	if err != nil {
		return definition.Change{}, &definition.FieldError{Field: "body", Reason: "can't be read"}
	}
	f := &Document{Source: p.src, Root: root}
	entries, ok := p.mapping(root, "", definitionKeys)
	if ok {
		f.Fields, f.Sync = entries, entries[definition.FieldSync]
		if f.Sync.Key != nil {
			c.Sync = p.sync(f)
		}
		c.Shape = p.shape(entries)
	}
	if len(p.problems) > 0 {
		return definition.Change{}, asField(p.problems[0])
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
		if field == definition.FieldData {
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
func asField(e *definition.FileError) error {
	if unknown, ok := strings.CutPrefix(e.Cause, "unknown key "); ok {
		quoted, rest, _ := strings.Cut(unknown, "; ")
		if name, err := strconv.Unquote(quoted); err == nil {
			return &definition.FieldError{Field: name, Reason: "is unknown; " + rest}
		}
	}
	field, why, ok := strings.Cut(e.Cause, ": ")
	if blank := strings.IndexByte(e.Cause, ' '); !ok || blank >= 0 && blank < len(field) {
		field, why, _ = strings.Cut(e.Cause, " ")
	}
	return &definition.FieldError{Field: field, Reason: why}
}
