package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// MaxSize is what Kubernetes allows a Secret's data to sum up to, in bytes.
const MaxSize = 1 << 20

// Value is what lies at one path of a vault.
type Value struct {
	At      string // the path with mount and prefix, for messages
	Version int
	Data    map[string][]byte // as a copy of all of it would hold it
	// JSON returns what the vault holds under a key as JSON.
	JSON func(key string) (json.RawMessage, bool)
}

// Recipe says how a definition's copies are made of values. It is immutable.
type Recipe struct {
	path  definition.SecretPath
	shape *definition.Shape // nil: every key of the one value
	hash  string
}

// Of returns the recipe of a definition.
func Of(d definition.Definition) *Recipe {
	return &Recipe{path: d.SecretPath, shape: d.Shape, hash: hashOf(d.Shape)}
}

// Type is the type of the copies.
func (r *Recipe) Type() string {
	if r.shape == nil || r.shape.Type.IsZero() {
		return typeOpaque
	}
	return r.shape.Type.String()
}

// Hash tells recipes apart that make another copy of the same values; it is empty
// where a copy is what it is by default. It says nothing of values.
func (r *Recipe) Hash() string { return r.hash }

// Labels are those that the copies wear beside ours.
func (r *Recipe) Labels() map[string]string {
	if r.shape == nil {
		return nil
	}
	return r.shape.Labels
}

// Annotations are those that the copies wear beside ours.
func (r *Recipe) Annotations() map[string]string {
	if r.shape == nil {
		return nil
	}
	return r.shape.Annotations
}

// Merges reports whether only single keys of the Secret are the definition's.
func (r *Recipe) Merges() bool { return r.shape.Merges() }

// Keys are those that data names, sorted; nil where it names none.
func (r *Recipe) Keys() []string {
	if r.shape == nil {
		return nil
	}
	var keys []string
	for i := range r.shape.Data {
		keys = append(keys, r.shape.Data[i].Key)
	}
	slices.Sort(keys)
	return keys
}

// Deletes reports whether a copy goes with its target.
func (r *Recipe) Deletes() bool { return r.shape.Deletes() }

// hashOf covers what stands on a copy: its data and type, whose they are, labels,
// annotations, and whether it goes with its target. Nothing of it is secret, it
// stands in Git.
func hashOf(s *definition.Shape) string {
	if s == nil {
		return ""
	}
	covered := struct {
		Type                string               `json:",omitempty"`
		Merge, Delete       bool                 `json:",omitempty"`
		Data                []definition.DataKey `json:",omitempty"`
		Labels, Annotations map[string]string    `json:",omitempty"`
	}{Merge: s.Merges(), Delete: s.Deletes(), Data: s.Data, Labels: s.Labels, Annotations: s.Annotations}
	if covered.Type = s.Type.String(); covered.Type == typeOpaque {
		covered.Type = ""
	}
	text, err := json.Marshal(covered)
	if err != nil || string(text) == "{}" {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Data makes the data of a copy. values must hold one for each of the definition's
// paths. Without a fault of the values there are data; they may be a value's own
// and must not be changed.
func (r *Recipe) Data(values map[definition.SecretPath]Value) (map[string][]byte, *fault.Fault) {
	data := values[r.path].Data
	if r.shape != nil && r.shape.Data != nil {
		var f *fault.Fault
		if data, f = r.compose(values); f != nil {
			return nil, f
		}
	}
	if r.Type() == typeDockerConfigJSON && !r.Merges() {
		data = withRegistry(data)
	}
	if f := r.fits(data, values[r.path]); f != nil {
		return nil, f
	}
	return data, nil
}

// compose makes what data asks for, key by key, and stops at the first that can't be
// made or is too much: what a definition costs is bounded, whatever it says.
func (r *Recipe) compose(values map[definition.SecretPath]Value) (map[string][]byte, *fault.Fault) {
	data := make(map[string][]byte, len(r.shape.Data))
	m := making{left: mostWork}
	size := 0
	for i := range r.shape.Data {
		k := &r.shape.Data[i]
		path := k.Path
		if path.IsZero() {
			path = r.path
		}
		content, f := m.key(k, path, values[path])
		if f != nil {
			return nil, f
		}
		if size += len(content); size > MaxSize {
			v := values[r.path]
			return nil, tooLarge("what data makes of the value at %s (version %d) is over %d bytes", v.At, v.Version, MaxSize)
		}
		data[k.Key] = content
	}
	return data, nil
}

// making is what the keys of one copy have in common while they are made.
type making struct {
	left   int // of the work that its templates may do, all of them together
	parsed map[source]any
	size   int // of the JSON that is kept parsed
}

// source is where the JSON lies that fields are taken out of.
type source struct {
	path definition.SecretPath
	key  string
}

// mostParsed bounds what is kept parsed for the next key, which is many times as large
// in memory.
const mostParsed = 4 << 20

// key makes what stands under one key of a copy.
func (m *making) key(k *definition.DataKey, path definition.SecretPath, v Value) ([]byte, *fault.Fault) {
	if k.From == "" {
		text, err := execute(k.Template, v.Data, &m.left)
		if err != nil {
			return nil, fault.New(fault.Error, fault.ReasonTemplateFailed, "the template of key %s fails with the value at %s (version %d): %s", k.Key, v.At, v.Version, err)
		}
		return text, nil
	}
	content, ok := v.Data[k.From]
	if !ok {
		return nil, keyNotFound(k, v, "has no key "+definition.Quote(k.From)+keysOf(v))
	}
	if k.Field != "" {
		var err error
		if content, err = m.field(source{path, k.From}, v, k.Field); err != nil {
			return nil, keyNotFound(k, v, fmt.Sprintf("has under key %s %s", definition.Quote(k.From), err))
		}
	}
	content, ok = decode(k.Decode, content)
	if !ok {
		return nil, invalidKey("what is to stand under key %s can't be decoded: the value at %s (version %d) has no %s under key %s", k.Key, v.At, v.Version, k.Decode, definition.Quote(k.From))
	}
	return content, nil
}

// field takes a field out of JSON, which is parsed once for all keys that are fields of it.
func (m *making) field(from source, v Value, path string) ([]byte, error) {
	at, ok := m.parsed[from]
	if !ok {
		raw, _ := v.JSON(from.key)
		var err error
		if at, err = fields(raw); err != nil {
			return nil, err
		}
		if m.size += len(raw); m.parsed == nil || m.size > mostParsed {
			m.parsed, m.size = make(map[source]any), len(raw)
		}
		m.parsed[from] = at
	}
	return field(at, path)
}

func keyNotFound(k *definition.DataKey, v Value, what string) *fault.Fault {
	return fault.New(fault.Error, fault.ReasonKeyNotFound, "the value at %s (version %d) %s; key %s of the copy needs it: put it there, or mend data in the definition", v.At, v.Version, what, k.Key)
}

// keysOf names some of a value's keys, for who mistyped one.
func keysOf(v Value) string {
	const most = 8
	names := slices.Sorted(maps.Keys(v.Data))
	if len(names) == 0 {
		return ", nor any other"
	}
	more := ""
	if len(names) > most {
		names, more = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
	}
	for i, name := range names {
		names[i] = quoteKey(name)
	}
	return ", but " + strings.Join(names, ", ") + more
}

// fits says why a Secret can't hold the data.
func (r *Recipe) fits(data map[string][]byte, v Value) *fault.Fault {
	size := 0
	for key, content := range data {
		if problems := validation.IsConfigMapKey(key); len(problems) > 0 {
			return invalidKey("the value at %s (version %d) has a key that Kubernetes does not allow in a Secret: %s; use letters, digits, '-', '_' and '.' only, at most 253, and no '..' at the beginning", v.At, v.Version, quoteKey(key))
		}
		size += len(content)
	}
	if size > MaxSize {
		what := fmt.Sprintf("the value at %s (version %d) is %d bytes", v.At, v.Version, size)
		if r.shape != nil && r.shape.Data != nil {
			what = fmt.Sprintf("what data makes of the value at %s (version %d) is %d bytes", v.At, v.Version, size)
		}
		return tooLarge("%s", what)
	}
	if r.shape.Merges() {
		return nil // the Secret is somebody else's, and so is what its type needs
	}
	if cause := misfit(r.Type(), data); cause != "" {
		return invalidKey("the value at %s (version %d) does not make a Secret of type %s: %s", v.At, v.Version, r.Type(), cause)
	}
	return nil
}

func tooLarge(format string, args ...any) *fault.Fault {
	return fault.New(fault.Error, fault.ReasonValueTooLarge, "%s; a Kubernetes Secret holds at most %d: split it over several paths", fmt.Sprintf(format, args...), MaxSize)
}

func invalidKey(format string, args ...any) *fault.Fault {
	return fault.New(fault.Error, fault.ReasonInvalidKey, format, args...)
}

// quoteKey shows a key of a value: shortened and escaped. Keys are names, not
// values, but people do put values where names belong, so only a little of a long
// one is shown.
func quoteKey(key string) string {
	const most = 24
	if len(key) > most {
		return fmt.Sprintf("%q… (%d bytes)", strings.ToValidUTF8(key[:most], ""), len(key))
	}
	return fmt.Sprintf("%q", key)
}
