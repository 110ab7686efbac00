package definition

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The fields of a [Shape], in the order in which they are written anew.
const (
	fieldType            = "type"
	fieldMode            = "mode"
	fieldData            = "data"
	fieldLabels          = "labels"
	fieldAnnotations     = "annotations"
	fieldDeletionPolicy  = "deletionPolicy"
	fieldSuspend         = "suspend"
	fieldRefreshInterval = "refreshInterval"
)

var shapeKeys = []string{fieldType, fieldMode, fieldData, fieldLabels, fieldAnnotations, fieldDeletionPolicy, fieldSuspend, fieldRefreshInterval}

var dataKeys = []string{"key", "field", "decode", "path", "template"}

const (
	maxDataKeys    = 200
	maxMarks       = 64       // labels, and annotations
	maxMarksSize   = 32 << 10 // of annotations together, in bytes
	leastInterval  = time.Second
	longestField   = 256
	longestDataKey = 1024 // of a key of a value
)

// shape reads all that is beside name, secretPath and sync; nil where there is
// nothing.
func (p *parser) shape(entries map[string]entry) *Shape {
	s, given := &Shape{}, false
	read := func(key string, into func(*yaml.Node)) {
		if e := entries[key]; e.key != nil {
			given = true
			if p.undecorated(e.value, key) {
				into(e.value)
			}
		}
	}
	text := func(key string, parse func(string) error) {
		read(key, func(*yaml.Node) {
			parseText(p, nil, "", key, entries[key], func(text string) (struct{}, error) { return struct{}{}, parse(text) })
		})
	}
	text(fieldType, func(t string) (err error) { s.Type, err = ParseSecretType(t); return err })
	text(fieldMode, func(t string) (err error) { s.Mode, err = oneOf(fieldMode, t, ModeOwn, ModeMerge); return err })
	text(fieldDeletionPolicy, func(t string) (err error) {
		s.DeletionPolicy, err = oneOf(fieldDeletionPolicy, t, Retain, Delete)
		return err
	})
	text(fieldRefreshInterval, func(t string) (err error) { s.RefreshInterval, err = ParseInterval(t); return err })
	read(fieldSuspend, func(n *yaml.Node) { s.Suspend = p.truth(n, fieldSuspend) })
	read(fieldData, func(n *yaml.Node) { s.Data = p.data(n) })
	read(fieldLabels, func(n *yaml.Node) { s.Labels = p.marks(n, fieldLabels, checkLabelValue) })
	read(fieldAnnotations, func(n *yaml.Node) {
		if s.Annotations = p.marks(n, fieldAnnotations, nil); sizeOf(s.Annotations) > maxMarksSize {
			p.fail(n, "annotations are over %d bytes together; shorten them", maxMarksSize)
		}
	})
	if !given {
		return nil
	}
	return s
}

// oneOf parses a word that has to be one of a few.
func oneOf[T ~string](field, text string, words ...T) (T, error) {
	if slices.Contains(words, T(text)) {
		return T(text), nil
	}
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	meant := misspelt(text, names)
	if i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, text) }); i >= 0 {
		meant = names[i]
	}
	if meant != "" {
		return "", invalid(field, fmt.Sprintf("%s is none of %s; did you mean %q?", Quote(text), enumerate(names), meant))
	}
	return "", invalid(field, fmt.Sprintf("%s is none of %s", Quote(text), enumerate(names)))
}

// truth reads true or false.
func (p *parser) truth(n *yaml.Node, what string) *bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Value != "true" && n.Value != "false" {
		p.fail(n, "%s must be true or false, not %s", what, kindOf(n))
		return nil
	}
	is := n.Value == "true"
	return &is
}

// data reads what stands under which key of a copy.
func (p *parser) data(n *yaml.Node) []DataKey {
	data := []DataKey{}
	for e := range p.entriesOf(n, fieldData, maxDataKeys) {
		where := "data." + e.key.Value
		if problems := validation.IsConfigMapKey(e.key.Value); len(problems) > 0 {
			p.fail(e.key, "data: %s is no key that Kubernetes allows in a Secret; use letters, digits, '-', '_' and '.' only, at most 253, and no '..' at the beginning", Quote(e.key.Value))
			continue
		}
		if k, ok := p.dataKey(e, where); ok {
			data = append(data, k)
		}
	}
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.fail(n, "data is empty; name at least one key, or remove data to copy every key of the value")
	}
	slices.SortFunc(data, func(a, b DataKey) int { return strings.Compare(a.Key, b.Key) })
	return data
}

func (p *parser) dataKey(e entry, where string) (DataKey, bool) {
	k := DataKey{Key: e.key.Value}
	if e.value.Kind == yaml.ScalarNode {
		p.fail(e.value, "%s must say where it comes from, such as {key: %s} or {template: '…'}, not %s", where, hintOf(e.value), kindOf(e.value))
		return k, false
	}
	before := p.failed()
	entries, ok := p.mapping(e.value, where, dataKeys)
	if !ok {
		return k, false
	}
	has := func(key string) bool { return entries[key].key != nil }
	if has("path") {
		k.Path = parseText(p, e.value, where, "path", entries["path"], ParseSecretPath)
	}
	switch {
	case has("key") && has("template"):
		p.fail(entries["template"].key, "%s has a key and a template; remove one of them", where)
	case has("template"):
		k.Template = p.template(entries["template"], where)
		for _, other := range []string{"field", "decode"} {
			if has(other) {
				p.fail(entries[other].key, "%s.%s goes with key, not with template; do that in the template", where, other)
			}
		}
	default:
		k.From = parseText(p, e.value, where, "key", entries["key"], parseValueKey)
		if has("field") {
			k.Field = parseText(p, e.value, where, "field", entries["field"], parseField)
		}
		if has("decode") {
			k.Decode = parseText(p, e.value, where, "decode", entries["decode"], func(t string) (Decoding, error) { return oneOf("decode", t, Base64, Base64URL, Hex) })
		}
	}
	return k, p.failed() == before
}

// hintOf is what a person likely meant to be a value's key.
func hintOf(n *yaml.Node) string {
	if parsed, err := parseValueKey(n.Value); err == nil && plainWord.MatchString(parsed) {
		return shorten(parsed)
	}
	return "password"
}

// template reads the text of a template, which alone may go over several lines.
func (p *parser) template(e entry, where string) string {
	n := e.value
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && p.undecorated(n, join(where, "template")) {
		if err := CheckTemplate(n.Value); err != nil {
			p.fail(n, "%s: %s", join(where, "template"), reason(err))
			return ""
		}
		return n.Value
	}
	return parseText(p, n, where, "template", e, func(t string) (string, error) { return t, CheckTemplate(t) })
}

func parseValueKey(s string) (string, error) {
	if s == "" || len(s) > longestDataKey {
		return "", invalid("key", fmt.Sprintf("names a key of the value, of 1 to %d bytes", longestDataKey))
	}
	return s, nil
}

func parseField(s string) (string, error) {
	if len(s) > longestField || slices.Contains(strings.Split(s, "."), "") {
		return "", invalid("field", fmt.Sprintf("%s is no field such as server.port: names with a '.' between them, at most %d bytes", Quote(s), longestField))
	}
	return s, nil
}

// marks reads labels or annotations.
func (p *parser) marks(n *yaml.Node, field string, check func(string) error) map[string]string {
	marks := make(map[string]string)
	for e := range p.entriesOf(n, field, maxMarks) {
		if err := checkMark(e.key.Value); err != nil {
			p.fail(e.key, "%s: %s", field, reason(err))
			continue
		}
		before := p.failed()
		text := parseText(p, n, field, e.key.Value, e, func(t string) (string, error) {
			if check == nil {
				return t, nil
			}
			return t, check(t)
		})
		if p.failed() == before {
			marks[e.key.Value] = text
		}
	}
	return marks
}

// reserved are the names of labels and annotations that are ours or the cluster's
// to set.
func reserved(name string) bool {
	prefix, _, _ := strings.Cut(name, "/")
	return name == "app.kubernetes.io/managed-by" || prefix == "secretsync.dev" || strings.HasSuffix(prefix, ".secretsync.dev")
}

func checkMark(name string) error {
	switch {
	case len(validation.IsQualifiedName(name)) > 0:
		return invalid("name", fmt.Sprintf("%s is no name that Kubernetes allows: at most 63 letters, digits, '-', '_' and '.', after a domain and a '/' where one is given", Quote(name)))
	case reserved(name):
		return invalid("name", fmt.Sprintf("%s is set by secretsync itself; choose another", Quote(name)))
	}
	return nil
}

func checkLabelValue(s string) error {
	if len(validation.IsValidLabelValue(s)) > 0 {
		return invalid("label", fmt.Sprintf("%s is no value that Kubernetes allows for a label: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit", Quote(s)))
	}
	return nil
}

func sizeOf(marks map[string]string) (n int) {
	for name, text := range marks {
		n += len(name) + len(text)
	}
	return n
}

// entriesOf goes over the entries of a mapping whose keys are chosen by people.
func (p *parser) entriesOf(n *yaml.Node, what string, most int) func(func(entry) bool) {
	return func(yield func(entry) bool) {
		switch {
		case n.Kind != yaml.MappingNode:
			p.fail(n, "%s must consist of 'key: value' lines, but is %s", what, kindOf(n))
			return
		case len(n.Content)/2 > most:
			p.fail(n.Content[2*most], "%s has %d entries; at most %d are allowed", what, len(n.Content)/2, most)
			return
		}
		first := make(map[string]*yaml.Node)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if !p.key(key, what) {
				continue
			}
			if was := first[key.Value]; was != nil {
				p.fail(key, "key %s stands twice in %s, first on line %d; remove one", Quote(key.Value), what, was.Line)
				continue
			}
			first[key.Value] = key
			if key.ShortTag() != "!!str" {
				p.fail(key, "%s: YAML reads the key %s as %s, not as a text; put it in quotes: %q", what, Quote(key.Value), kindOf(key), shorten(key.Value))
				continue
			}
			if !yield(entry{key, value}) {
				return
			}
		}
	}
}

// ParseInterval parses a time span such as 90s or 5m, of at least a second. A
// failure matches [ErrInvalid].
func ParseInterval(s string) (Interval, error) {
	d, err := time.ParseDuration(s)
	if err != nil || len(s) > 32 {
		return Interval{}, invalid(fieldRefreshInterval, fmt.Sprintf("%s is no time span; write one such as 30s, 5m or 1h", Quote(s)))
	}
	if d < leastInterval {
		return Interval{}, invalid(fieldRefreshInterval, fmt.Sprintf("%s is less than a second", Quote(s)))
	}
	return Interval{text{s}, d}, nil
}
