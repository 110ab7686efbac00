package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"secretsync/gitstore/definition"
)

// annotationOthers has the versions of further paths, as path@version@created with
// semicolons between.
const annotationOthers = "secretsync.dev/vault-versions"

// expected is what a copy should be, as far as that can be told without doing over
// what the server does: what a template makes of a value, and whether data suit a
// type, is not judged.
type expected struct {
	kind string
	data Data // nil where not even the keys are known
	// unjudged are keys that should be there, whatever they hold.
	unjudged []string
	merged   bool // other keys may be there too
	// lacks says that a key or a field which the definition names is not there.
	lacks bool
	// unsure says that it is not known whether a copy can be made at all.
	unsure bool
	labels map[string]string
	// annotations are those that the definition sets.
	annotations map[string]string
	// others are the versions of further paths.
	others map[string]int
}

const typeRegistry = "kubernetes.io/dockerconfigjson"

// paths are all that a definition reads, its own first.
func (d Definition) paths() []string {
	paths := []string{d.Path}
	if d.Shape != nil {
		for _, k := range d.Shape.Data {
			if path := k.Path.String(); path != "" && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// takesApart reports whether more than digests of values is needed to know what the
// copies should be.
func (d Definition) takesApart() bool {
	return d.Shape != nil && slices.ContainsFunc(d.Shape.Data, func(k definition.DataKey) bool { return k.Field != "" || k.Decode != "" })
}

// expects works out what the definition's copies should be of these values.
func (d Definition) expects(values map[string]Value) expected {
	own := values[d.Path]
	e := expected{kind: typeOpaque, data: own.Data}
	s := d.Shape
	if s == nil {
		return e
	}
	if !s.Type.IsZero() {
		e.kind = s.Type.String()
	}
	e.merged, e.labels, e.annotations = s.Merges(), s.Labels, s.Annotations
	e.unsure = e.kind != typeOpaque
	for _, path := range d.paths()[1:] {
		if e.others == nil {
			e.others = make(map[string]int)
		}
		e.others[path] = values[path].Version
	}
	if s.Data != nil {
		e.data = make(Data, len(s.Data))
		for _, k := range s.Data {
			v := own
			if !k.Path.IsZero() {
				v = values[k.Path.String()]
			}
			e.key(&k, v)
		}
	}
	if e.kind == typeRegistry {
		// It may be composed of its parts, which then are not in the copy.
		e.data, e.unjudged = nil, []string{".dockerconfigjson"}
	}
	return e
}

// key adds one key of a copy.
func (e *expected) key(k *definition.DataKey, v Value) {
	if k.Template != "" {
		e.unsure, e.unjudged = true, append(e.unjudged, k.Key)
		return
	}
	if k.Field == "" && k.Decode == "" {
		digest, ok := v.Data[k.From]
		e.lacks = e.lacks || !ok
		e.data[k.Key] = digest
		return
	}
	digest, found, fit := v.Parts.of(k.From, k.Field, string(k.Decode))
	e.lacks = e.lacks || !found
	e.unsure = e.unsure || !fit
	e.data[k.Key] = digest
}

// differs says how a Secret's data differ, without naming keys; empty: in nothing
// that is judged.
func (e *expected) differs(got Data) string {
	rest := make(Data, len(got))
	for key, digest := range got {
		_, wanted := e.data[key]
		if (e.data == nil || e.merged) && !wanted {
			continue
		}
		rest[key] = digest
	}
	lacking := 0
	for _, key := range e.unjudged {
		if _, ok := got[key]; !ok {
			lacking++
		}
		delete(rest, key)
	}
	if lacking > 0 {
		return strconv.Itoa(lacking) + " keys are lacking"
	}
	return compare(e.data, rest)
}

// wears lists what a Secret lacks of the labels and annotations that its definition
// sets.
func (e *expected) wears(s *Secret) (wrong []string) {
	for _, set := range []struct {
		what       string
		want, have map[string]string
	}{{"label ", e.labels, s.Labels}, {"annotation ", e.annotations, s.Annotations}} {
		for name, want := range set.want {
			if have, ok := set.have[name]; !ok || have != want {
				wrong = append(wrong, set.what+name)
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// bears says whether a Secret is told to be made of just these versions of further
// paths.
func (e *expected) bears(s *Secret) bool {
	borne := make(map[string]int)
	for line := range strings.SplitSeq(s.Annotations[annotationOthers], ";") {
		parts := strings.Split(line, "@")
		if len(parts) < 3 {
			continue
		}
		n, err := strconv.Atoi(parts[len(parts)-2])
		if err == nil {
			borne[strings.Join(parts[:len(parts)-2], "@")] = n
		}
	}
	for path, version := range e.others {
		if borne[path] != version {
			return false
		}
	}
	return len(borne) == len(e.others)
}

// Parts are a value's members as the vault gave them, for what a definition takes
// out of them. It is dropped with what was seen, and never shown.
type Parts map[string]json.RawMessage

// String keeps them out of anything that is formatted.
func (Parts) String() string { return "(parts)" }

// GoString does the same.
func (Parts) GoString() string { return "(parts)" }

// of makes a digest of a field of a member, or of the bytes that it stands for.
// found: it is there. fit: it can be decoded.
func (p Parts) of(key, field, decode string) (digest [sha256.Size]byte, found, fit bool) {
	raw, found := p[key]
	if !found {
		return digest, false, false
	}
	if field != "" {
		if raw, found = fieldOf(raw, strings.Split(field, ".")); !found {
			return digest, false, false
		}
	}
	text, err := secretText(raw)
	if err != nil {
		return digest, false, false
	}
	text, fit = decoded(text, decode)
	return sha256.Sum256(text), true, fit
}

// fieldOf goes down into JSON, also where it stands in a text.
func fieldOf(raw json.RawMessage, path []string) (json.RawMessage, bool) {
	for i, name := range path {
		var text string
		if i == 0 && json.Unmarshal(raw, &text) == nil {
			raw = json.RawMessage(text)
		}
		var object map[string]json.RawMessage
		var list []json.RawMessage
		switch {
		case json.Unmarshal(raw, &object) == nil && object != nil:
			var ok bool
			if raw, ok = object[name]; !ok {
				return nil, false
			}
		case json.Unmarshal(raw, &list) == nil:
			n, err := strconv.Atoi(name)
			if err != nil || n < 0 || n >= len(list) {
				return nil, false
			}
			raw = list[n]
		default:
			return nil, false
		}
	}
	return raw, true
}

// decoded undoes an encoding, with or without padding and broken over lines or not.
func decoded(text []byte, how string) ([]byte, bool) {
	if how == "" {
		return text, true
	}
	plain := strings.TrimRight(string(bytes.Join(bytes.Fields(text), nil)), "=")
	var content []byte
	var err error
	switch how {
	case "base64":
		content, err = base64.RawStdEncoding.DecodeString(plain)
	case "base64url":
		content, err = base64.RawURLEncoding.DecodeString(plain)
	case "hex":
		content, err = hex.DecodeString(plain)
	default:
		return nil, false
	}
	return content, err == nil
}
