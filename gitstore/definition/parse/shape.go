package parse

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
)

var dataKeys = []string{"key", "field", "decode", "path", "template"}

// shape reads all that is beside name, secretPath and sync; nil where there is
// nothing.
func (p *parser) shape(entries map[string]Entry) *definition.Shape {
	s, given := &definition.Shape{}, false
	read := func(key string, into func(*yaml.Node)) {
		if e := entries[key]; e.Key != nil {
			given = true
			if p.undecorated(e.Value, key) {
				into(e.Value)
			}
		}
	}
	text := func(key string, parse func(string) error) {
		read(key, func(*yaml.Node) {
			parseText(p, nil, "", key, entries[key], func(text string) (struct{}, error) { return struct{}{}, parse(text) })
		})
	}
	text(definition.FieldType, func(t string) (err error) { s.Type, err = definition.ParseSecretType(t); return err })
	text(definition.FieldMode, func(t string) (err error) { s.Mode, err = definition.ParseMode(t); return err })
	text(definition.FieldDeletionPolicy, func(t string) (err error) {
		s.DeletionPolicy, err = definition.ParseDeletionPolicy(t)
		return err
	})
	text(definition.FieldRefreshInterval, func(t string) (err error) { s.RefreshInterval, err = definition.ParseInterval(t); return err })
	read(definition.FieldSuspend, func(n *yaml.Node) { s.Suspend = p.truth(n, definition.FieldSuspend) })
	read(definition.FieldData, func(n *yaml.Node) { s.Data = p.data(n) })
	read(definition.FieldLabels, func(n *yaml.Node) { s.Labels = p.marks(n, definition.FieldLabels, definition.CheckLabelValue) })
	read(definition.FieldAnnotations, func(n *yaml.Node) {
		if s.Annotations = p.marks(n, definition.FieldAnnotations, nil); sizeOf(s.Annotations) > definition.MaxAnnotationsSize {
			p.fail(n, "annotations are over %d bytes together; shorten them", definition.MaxAnnotationsSize)
		}
	})
	if !given {
		return nil
	}
	return s
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
func (p *parser) data(n *yaml.Node) []definition.DataKey {
	data := []definition.DataKey{}
	for e := range p.entriesOf(n, definition.FieldData, definition.MaxDataKeys) {
		where := "data." + e.Key.Value
		if problems := validation.IsConfigMapKey(e.Key.Value); len(problems) > 0 {
			p.fail(e.Key, "data: %s is no key that Kubernetes allows in a Secret; use letters, digits, '-', '_' and '.' only, at most 253, and no '..' at the beginning", definition.Quote(e.Key.Value))
			continue
		}
		if k, ok := p.dataKey(e, where); ok {
			data = append(data, k)
		}
	}
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.fail(n, "data is empty; name at least one key, or remove data to copy every key of the value")
	}
	slices.SortFunc(data, func(a, b definition.DataKey) int { return strings.Compare(a.Key, b.Key) })
	return data
}

func (p *parser) dataKey(e Entry, where string) (definition.DataKey, bool) {
	k := definition.DataKey{Key: e.Key.Value}
	if e.Value.Kind == yaml.ScalarNode {
		p.fail(e.Value, "%s must say where it comes from, such as {key: %s} or {template: '…'}, not %s", where, hintOf(e.Value), kindOf(e.Value))
		return k, false
	}
	before := p.failed()
	entries, ok := p.mapping(e.Value, where, dataKeys)
	if !ok {
		return k, false
	}
	has := func(key string) bool { return entries[key].Key != nil }
	if has("path") {
		k.Path = parseText(p, e.Value, where, "path", entries["path"], definition.ParseSecretPath)
	}
	switch {
	case has("key") && has("template"):
		p.fail(entries["template"].Key, "%s has a key and a template; remove one of them", where)
	case has("template"):
		k.Template = p.template(entries["template"], where)
		for _, other := range []string{"field", "decode"} {
			if has(other) {
				p.fail(entries[other].Key, "%s.%s goes with key, not with template; do that in the template", where, other)
			}
		}
	default:
		k.From = parseText(p, e.Value, where, "key", entries["key"], definition.ParseValueKey)
		if has("field") {
			k.Field = parseText(p, e.Value, where, "field", entries["field"], definition.ParseField)
		}
		if has("decode") {
			k.Decode = parseText(p, e.Value, where, "decode", entries["decode"], definition.ParseDecoding)
		}
	}
	return k, p.failed() == before
}

// hintOf is what a person likely meant to be a value's key.
func hintOf(n *yaml.Node) string {
	if parsed, err := definition.ParseValueKey(n.Value); err == nil && yamltext.IsWord(parsed) {
		return definition.Shorten(parsed)
	}
	return "password"
}

// template reads the text of a template, which alone may go over several lines.
func (p *parser) template(e Entry, where string) string {
	n := e.Value
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && p.undecorated(n, join(where, "template")) {
		if err := definition.CheckTemplate(n.Value); err != nil {
			p.fail(n, "%s: %s", join(where, "template"), reason(err))
			return ""
		}
		return n.Value
	}
	return parseText(p, n, where, "template", e, func(t string) (string, error) { return t, definition.CheckTemplate(t) })
}

// marks reads labels or annotations.
func (p *parser) marks(n *yaml.Node, field string, check func(string) error) map[string]string {
	marks := make(map[string]string)
	for e := range p.entriesOf(n, field, definition.MaxMarks) {
		if err := definition.CheckMark(e.Key.Value); err != nil {
			p.fail(e.Key, "%s: %s", field, reason(err))
			continue
		}
		before := p.failed()
		text := parseText(p, n, field, e.Key.Value, e, func(t string) (string, error) {
			if check == nil {
				return t, nil
			}
			return t, check(t)
		})
		if p.failed() == before {
			marks[e.Key.Value] = text
		}
	}
	return marks
}

func sizeOf(marks map[string]string) (n int) {
	for name, text := range marks {
		n += len(name) + len(text)
	}
	return n
}
