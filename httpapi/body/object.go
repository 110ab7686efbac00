package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"secretsync/gitstore/definition"
)

// maxDepth is how deep a body may nest; the deepest that means anything is a list
// in the selector of a target in an operation of a batch.
const maxDepth = 10

// Object is a JSON object that kept to the rules encoding/json is lenient
// about: no key twice, keys compared exactly.
//
// sigs.k8s.io/json decodes strictly too, but into a struct, and its errors say
// less than is promised: an unknown field without how it is spelt or what is
// known, a wrong type by the name of a Go type, and no sync[3] before either. It
// can't tell null from absent, which PATCH has to.
type Object struct {
	at      string // where it stands, such as "sync[3]."; empty for the body itself
	keys    []string
	members map[string]any // nil, bool, string, json.Number, []any or Object
}

// Has reports whether there is such a member, null or not.
func (o Object) Has(key string) bool { _, ok := o.members[key]; return ok }

// Get returns a member: nil, bool, string, json.Number, []any or Object.
func (o Object) Get(key string) (any, bool) { v, ok := o.members[key]; return v, ok }

// plain is a value of a member, or of one within it, as maps and lists.
func plain(v any) any {
	switch v := v.(type) {
	case Object:
		members := make(map[string]any, len(v.members))
		for key, member := range v.members {
			members[key] = plain(member)
		}
		return members
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = plain(item)
		}
		return items
	}
	return v
}

// Only refuses members other than those known.
func (o Object) Only(known ...string) error {
	for _, key := range o.keys {
		if slices.Contains(known, key) {
			continue
		}
		for _, k := range known {
			if strings.EqualFold(k, key) {
				return o.Refuse(Shown(key), fmt.Sprintf("is an unknown field; it is spelt %q", k))
			}
		}
		return o.Refuse(Shown(key), "is an unknown field; known here: "+strings.Join(known, ", "))
	}
	return nil
}

// Shown lets a key that came in stand in a message: plain where it looks like
// a field, else quoted and shortened.
func Shown(key string) string {
	for _, c := range key {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			key = fmt.Sprintf("%.60q", key)
			break
		}
	}
	if len(key) > 64 {
		key = key[:60] + "…"
	}
	return key
}

// Refuse is the error of what stands somewhere in the object.
func (o Object) Refuse(field, reason string) error { return refuse(o.at+field, reason) }

func refuse(field, reason string) error {
	return &definition.FieldError{Field: field, Reason: reason}
}

// WrongType is the error of a value that is not what is wanted.
func (o Object) WrongType(field string, v any, want string) error {
	return o.Refuse(field, fmt.Sprintf("is %s; it must be %s", kindOf(v), want))
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

// Inner takes a member for an object; ok is false if it is none.
func (o Object) Inner(key string) (inner Object, ok bool) {
	inner, ok = o.members[key].(Object)
	inner.at = o.at + key + "."
	return inner, ok
}

// Element takes an element of a list that is a member for an object.
func (o Object) Element(key string, i int, v any, want string) (Object, error) {
	at := fmt.Sprintf("%s[%d]", key, i)
	inner, ok := v.(Object)
	if !ok {
		return Object{}, o.WrongType(at, v, want)
	}
	inner.at = o.at + at + "."
	return inner, nil
}

// All yields the members in their order.
func (o Object) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, key := range o.keys {
			if !yield(key, o.members[key]) {
				return
			}
		}
	}
}

// Field reads a member that must be there.
func Field[T any](o Object, key string, parse func(string) (T, error)) (T, error) {
	var zero T
	v, ok := o.Get(key)
	if !ok {
		return zero, o.Refuse(key, "is missing")
	}
	s, ok := v.(string)
	if !ok {
		return zero, o.WrongType(key, v, "a string")
	}
	t, err := parse(s)
	if f, ok := errors.AsType[*definition.FieldError](err); ok {
		return zero, o.Refuse(key, f.Reason)
	}
	return t, err
}

// Optional reads a member that may be absent or null: then it is zero.
func Optional[T any](o Object, key string, parse func(string) (T, error)) (T, error) {
	var zero T
	if v, ok := o.Get(key); !ok || v == nil {
		return zero, nil
	}
	return Field(o, key, parse)
}

// Parse parses a body that must be one JSON object and nothing after it.
func Parse(body []byte) (Object, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return Object{}, refuse("body", "is empty; it must be a JSON object")
	}
	if !utf8.Valid(body) {
		return Object{}, refuse("body", "is not valid UTF-8")
	}
	// The token reader below does not look past the first value, nor does it
	// report syntax as well.
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return Object{}, syntaxProblem(err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := parseValue(d, "", 0)
	if err != nil {
		return Object{}, err
	}
	o, ok := v.(Object)
	if !ok {
		return Object{}, refuse("body", fmt.Sprintf("is %s; it must be an object", kindOf(v)))
	}
	return o, nil
}

func syntaxProblem(err error) error {
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return refuse("body", fmt.Sprintf("is not one JSON value: %s at byte %d", s.Error(), s.Offset))
	}
	return refuse("body", "is not one JSON value")
}

func parseValue(d *json.Decoder, at string, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, syntaxProblem(err)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth >= maxDepth {
		return nil, refuse("body", fmt.Sprintf("nests deeper than %d levels", maxDepth))
	}
	if delim == '[' {
		return parseList(d, at, depth)
	}
	return parseMembers(d, at, depth)
}

func parseList(d *json.Decoder, at string, depth int) (any, error) {
	list := []any{}
	for i := 0; d.More(); i++ {
		v, err := parseValue(d, fmt.Sprintf("%s[%d]", at, i), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

func parseMembers(d *json.Decoder, at string, depth int) (any, error) {
	o := Object{members: map[string]any{}}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, syntaxProblem(err)
		}
		key := token.(string)
		where := strings.TrimPrefix(at+"."+Shown(key), ".")
		if o.Has(key) {
			return nil, refuse(where, "stands twice in one object")
		}
		v, err := parseValue(d, where, depth+1)
		if err != nil {
			return nil, err
		}
		o.keys = append(o.keys, key)
		o.members[key] = v
	}
	_, err := d.Token()
	return o, err
}
