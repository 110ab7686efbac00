package render

import (
	"maps"
	"slices"
	"strconv"

	"secretsync/gitstore/definition"
)

// appendShape appends the fields that a definition gives beside the first three, as
// they were given.
func appendShape(b []byte, s *definition.Shape) []byte {
	text := func(key, text string) {
		if text != "" {
			b = String(member(b, key), text)
		}
	}
	text("type", s.Type.String())
	text("mode", string(s.Mode))
	if s.Data != nil {
		b = append(member(b, "data"), '{')
		for i, k := range s.Data {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendDataKey(append(String(b, k.Key), ':'), k)
		}
		b = append(b, '}')
	}
	marks := func(key string, marks map[string]string) {
		if marks == nil {
			return
		}
		b = append(member(b, key), '{')
		for i, name := range slices.Sorted(maps.Keys(marks)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = String(append(String(b, name), ':'), marks[name])
		}
		b = append(b, '}')
	}
	marks("labels", s.Labels)
	marks("annotations", s.Annotations)
	text("deletionPolicy", string(s.DeletionPolicy))
	if s.Suspend != nil {
		b = strconv.AppendBool(member(b, "suspend"), *s.Suspend)
	}
	text("refreshInterval", s.RefreshInterval.String())
	return b
}

// member begins a further member of an object.
func member(b []byte, key string) []byte { return append(String(append(b, ','), key), ':') }

func appendDataKey(b []byte, k definition.DataKey) []byte {
	b = append(b, '{')
	first := true
	text := func(key, text string) {
		if text == "" {
			return
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = String(append(String(b, key), ':'), text)
	}
	text("path", k.Path.String())
	text("key", k.From)
	text("field", k.Field)
	text("decode", string(k.Decode))
	text("template", k.Template)
	return append(b, '}')
}
