package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"secretsync/gitstore/definition"
)

// maxDepth is how deep a body may nest; the deepest that means anything is an
// object in a list in an object.
const maxDepth = 8

// object is a JSON object that kept to the rules encoding/json is lenient
// about: no key twice, keys compared exactly.
//
// sigs.k8s.io/json decodes strictly too, but into a struct, and its errors say
// less than is promised: an unknown field without how it is spelt or what is
// known, a wrong type by the name of a Go type, and no sync[3] before either. It
// can't tell null from absent, which PATCH has to.
type object struct {
	at      string // where it stands, such as "sync[3]."; empty for the body itself
	keys    []string
	members map[string]any // nil, bool, string, json.Number, []any or object
}

func (o object) has(key string) bool { _, ok := o.members[key]; return ok }

func (o object) get(key string) (any, bool) { v, ok := o.members[key]; return v, ok }

// only refuses members other than those known.
func (o object) only(known ...string) error {
	for _, key := range o.keys {
		if slices.Contains(known, key) {
			continue
		}
		for _, k := range known {
			if strings.EqualFold(k, key) {
				return badRequest(o.at+shown(key), fmt.Sprintf("is an unknown field; it is spelt %q", k))
			}
		}
		return badRequest(o.at+shown(key), "is an unknown field; known here: "+strings.Join(known, ", "))
	}
	return nil
}

// shown lets a key that came in stand in a message: plain where it looks like
// a field, else quoted and shortened.
func shown(key string) string {
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

func (o object) wrongType(field string, v any, want string) error {
	return badRequest(field, fmt.Sprintf("is %s; it must be %s", kindOf(v), want))
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

// field reads a member that must be there.
func field[T any](o object, key string, parse func(string) (T, error)) (T, error) {
	var zero T
	v, ok := o.get(key)
	if !ok {
		return zero, badRequest(o.at+key, "is missing")
	}
	s, ok := v.(string)
	if !ok {
		return zero, o.wrongType(o.at+key, v, "a string")
	}
	t, err := parse(s)
	if f, ok := errors.AsType[*definition.FieldError](err); ok {
		return zero, badRequest(o.at+key, f.Reason)
	}
	return t, err
}

// optional reads a member that may be absent or null: then it is zero.
func optional[T any](o object, key string, parse func(string) (T, error)) (T, error) {
	var zero T
	if v, ok := o.get(key); !ok || v == nil {
		return zero, nil
	}
	return field(o, key, parse)
}

// parseObject parses a body that must be one JSON object and nothing after it.
func parseObject(body []byte) (object, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return object{}, badRequest("body", "is empty; it must be a JSON object")
	}
	if !utf8.Valid(body) {
		return object{}, badRequest("body", "is not valid UTF-8")
	}
	// The token reader below does not look past the first value, nor does it
	// report syntax as well.
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return object{}, syntaxProblem(err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := parseValue(d, "", 0)
	if err != nil {
		return object{}, err
	}
	o, ok := v.(object)
	if !ok {
		return object{}, badRequest("body", fmt.Sprintf("is %s; it must be an object", kindOf(v)))
	}
	return o, nil
}

func syntaxProblem(err error) error {
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return badRequest("body", fmt.Sprintf("is not one JSON value: %s at byte %d", s.Error(), s.Offset))
	}
	return badRequest("body", "is not one JSON value")
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
		return nil, badRequest("body", fmt.Sprintf("nests deeper than %d levels", maxDepth))
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
	o := object{members: map[string]any{}}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, syntaxProblem(err)
		}
		key := token.(string)
		where := strings.TrimPrefix(at+"."+shown(key), ".")
		if o.has(key) {
			return nil, badRequest(where, "stands twice in one object")
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
