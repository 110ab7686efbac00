// Package manifest owns how definitions pass between files, which are YAML, and the
// API, which is JSON: whole, in the order of their fields, whether this version knows
// the fields or not. What is allowed in a definition the server decides.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Definition is one, whole.
type Definition struct {
	Name string
	// Answered tells that it had fields which only the server's answers have, and which
	// it is now without.
	Answered bool

	order  []string
	fields map[string]json.RawMessage
}

// answered are the fields that the server adds in its answers. In a file, such as one
// that was made from an answer, they are left out.
var answered = []string{"status", "resourceVersion", "createdAt"}

// Parse reads the definitions of a file: a YAML document each. What YAML offers beyond
// JSON (aliases, merge keys, a field twice) is an error, as it is to the server.
func Parse(text []byte) ([]Definition, error) {
	var all []Definition
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		root := document.Content[0]
		if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
			continue // an empty document, such as one of comments alone
		}
		encoded, err := toJSON(root)
		if err != nil {
			return nil, err
		}
		d, err := FromJSON(encoded)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", root.Line, err)
		}
		all = append(all, d)
	}
}

// FromJSON takes a definition out of an answer of the server, or of a file.
func FromJSON(encoded json.RawMessage) (Definition, error) {
	d := Definition{fields: map[string]json.RawMessage{}}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return d, errors.New("a definition is a mapping, with name and secretPath")
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return d, err
		}
		field := token.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return d, err
		}
		if slices.Contains(answered, field) {
			d.Answered = true
			continue
		}
		d.order, d.fields[field] = append(d.order, field), value
	}
	if json.Unmarshal(d.fields["name"], &d.Name) != nil || d.Name == "" {
		return d, errors.New("name: is missing; give the definition a name")
	}
	return d, nil
}

// JSON returns the definition as the API takes it.
func (d Definition) JSON() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, field := range d.order {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(field)
		b.Write(name)
		b.WriteByte(':')
		b.Write(d.fields[field])
	}
	b.WriteByte('}')
	return b.Bytes()
}

// YAML returns the definition as a file holds it.
func (d Definition) YAML() []byte {
	text, err := ToYAML(d.JSON())
	if err != nil {
		panic(err) // it was JSON when it was made
	}
	return text
}

// Field returns a field; nil if the definition does not have it.
func (d Definition) Field(name string) json.RawMessage { return d.fields[name] }

// With returns the definition with a field of another value; without it if that is
// nil.
func (d Definition) With(name string, value json.RawMessage) Definition {
	d.fields, d.order = maps.Clone(d.fields), slices.Clone(d.order)
	if value == nil {
		delete(d.fields, name)
		d.order = slices.DeleteFunc(d.order, func(field string) bool { return field == name })
		return d
	}
	if _, ok := d.fields[name]; !ok {
		d.order = append(d.order, name)
	}
	d.fields[name] = value
	return d
}

// Fields returns all fields by their names.
func (d Definition) Fields() map[string]json.RawMessage { return maps.Clone(d.fields) }

// Patch returns what makes to of d: each field that differs, null where it goes. None
// means that they are the same. The fields that can't change are errors.
func (d Definition) Patch(to Definition) (map[string]json.RawMessage, error) {
	patch := map[string]json.RawMessage{}
	for _, field := range slices.Concat(d.order, to.order) {
		if Same(field, d.fields[field], to.fields[field]) {
			continue
		}
		if field == "name" || field == "secretPath" {
			return nil, fmt.Errorf("%s: is fixed once a definition is made; create another one with it, and delete this", field)
		}
		patch[field] = to.fields[field]
		if patch[field] == nil {
			patch[field] = json.RawMessage("null")
		}
	}
	return patch, nil
}

// Same reports whether two values of a field mean the same. No targets are the same
// whether they are absent, null or an empty list.
func Same(field string, a, b json.RawMessage) bool {
	x, y := decoded(a), decoded(b)
	if field == "sync" {
		x, y = orEmpty(x), orEmpty(y)
	}
	return reflect.DeepEqual(x, y)
}

func orEmpty(v any) any {
	if v == nil {
		return []any{}
	}
	return v
}

// decoded keeps numbers as they are written; nil where there is nothing.
func decoded(encoded json.RawMessage) (v any) {
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	if decoder.Decode(&v) != nil {
		return nil
	}
	return v
}

// Merge is what a lost race comes to. Of each field that one side alone changed it has
// that side's value; of those that both changed, which are in conflicts, it has mine.
func Merge(base, mine, theirs Definition) (merged Definition, conflicts []string) {
	merged = theirs
	for _, field := range slices.Concat(base.order, mine.order) {
		switch {
		case Same(field, base.fields[field], mine.fields[field]), Same(field, mine.fields[field], merged.fields[field]):
			continue
		case !Same(field, base.fields[field], theirs.fields[field]):
			conflicts = append(conflicts, field)
		}
		merged = merged.With(field, mine.fields[field])
	}
	return merged, conflicts
}
