package edit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
)

// How values are written anew.

// pair is a key with its value as YAML: on one line and, where that is how it is
// written anew, on lines of their own below the key, without their indentation.
type pair struct {
	key   string
	flow  string
	style string // of a text on several lines: | or |-
	lines []string
	text  string // what is written, where it is a text
	parts []pair // what it consists of, where it is a mapping
}

// flowWith writes a mapping of keys and values in braces.
func flowWith(quote func(string) string, entries ...pair) string {
	texts := make([]string, len(entries))
	for i, e := range entries {
		texts[i] = quote(e.key) + ": " + e.flow
	}
	return "{" + strings.Join(texts, ", ") + "}"
}

// shapePairs are the fields of a shape that are given, in their order. quote writes texts.
func shapePairs(s *definition.Shape, quote func(string) string) []pair {
	if s == nil {
		return nil
	}
	var all []pair
	text := func(key, text string) {
		if text != "" {
			all = append(all, pair{key: key, flow: quote(text)})
		}
	}
	text(definition.FieldType, s.Type.String())
	text(definition.FieldMode, string(s.Mode))
	if s.Data != nil {
		entries := dataPairs(s.Data, quote)
		all = append(all, pair{key: definition.FieldData, flow: flowWith(quote, entries...), lines: linesOf(entries)})
	}
	marks := func(key string, marks map[string]string) {
		switch {
		case marks == nil:
		case len(marks) == 0:
			all = append(all, pair{key: key, flow: "{}"})
		default:
			entries := markPairs(marks, quote)
			all = append(all, pair{key: key, flow: flowWith(quote, entries...), lines: linesOf(entries)})
		}
	}
	marks(definition.FieldLabels, s.Labels)
	marks(definition.FieldAnnotations, s.Annotations)
	text(definition.FieldDeletionPolicy, string(s.DeletionPolicy))
	if s.Suspend != nil {
		all = append(all, pair{key: definition.FieldSuspend, flow: strconv.FormatBool(*s.Suspend)})
	}
	text(definition.FieldRefreshInterval, s.RefreshInterval.String())
	return all
}

// linesOf writes entries below each other.
func linesOf(entries []pair) []string {
	var lines []string
	for _, e := range entries {
		if e.lines == nil {
			lines = append(lines, yamltext.Quoted(e.key)+": "+e.flow)
			continue
		}
		lines = append(append(lines, strings.TrimRight(yamltext.Quoted(e.key)+": "+e.style, " ")), indented(e.lines, 2)...)
	}
	return lines
}

func markPairs(marks map[string]string, quote func(string) string) []pair {
	var entries []pair
	for _, name := range slices.Sorted(maps.Keys(marks)) {
		entries = append(entries, pair{key: name, flow: quote(marks[name])})
	}
	return entries
}

func dataPairs(data []definition.DataKey, quote func(string) string) []pair {
	entries := make([]pair, len(data))
	for i, k := range data {
		entries[i] = dataPair(k, quote)
	}
	return entries
}

// dataPair writes what stands under one key of a copy: on one line if it can.
func dataPair(k definition.DataKey, quote func(string) string) pair {
	parts := partsOf(k, quote)
	whole := pair{key: k.Key, flow: flowWith(quote, parts...), parts: parts}
	if slices.ContainsFunc(parts, func(p pair) bool { return p.lines != nil }) {
		whole.lines = linesOf(parts)
	}
	return whole
}

// partsOf are what a data key consists of. A template of several lines gets lines of
// its own where YAML's literal style gives back just them.
func partsOf(k definition.DataKey, quote func(string) string) []pair {
	var parts []pair
	add := func(key, text string) {
		if text != "" {
			parts = append(parts, pair{key: key, flow: quote(text), text: text})
		}
	}
	add("path", k.Path.String())
	add("key", k.From)
	add("field", k.Field)
	add("decode", string(k.Decode))
	add("template", k.Template)
	if style, lines := literalOf(k.Template); lines != nil {
		last := &parts[len(parts)-1]
		last.flow, last.style, last.lines = yamltext.InQuotes(k.Template), style, lines
	}
	return parts
}

// literalOf writes a text of several lines in literal style: none where that would
// not give back just that text, or it has only one line.
func literalOf(s string) (style string, lines []string) {
	body, ended := strings.CutSuffix(s, "\n")
	lines = strings.Split(body, "\n")
	if len(lines) < 2 && !ended || body == "" {
		return "", nil
	}
	for i, line := range lines {
		blank := strings.TrimSpace(line) == ""
		switch {
		case yamltext.CheckLine([]byte(line)) != "" && !blank, strings.ContainsRune(line, '\t'), strings.HasSuffix(line, " "):
			return "", nil
		case (i == 0 || i == len(lines)-1) && (blank || i == 0 && line[0] == ' '):
			return "", nil // the indentation, or the end, would not be told
		}
	}
	if ended {
		return "|", lines
	}
	return "|-", lines
}

// targetPairs are the fields of a target that are given, in their order.
func targetPairs(t definition.Target, quote func(string) string) []pair {
	all := []pair{{key: "cluster", flow: quote(t.Cluster.String())}}
	if t.Selector.IsZero() {
		all = append(all, pair{key: "namespace", flow: quote(t.Namespace.String())})
	} else {
		all = append(all, pair{key: "namespaceSelector", flow: selectorFlow(t.Selector, quote)})
	}
	if !t.SecretName.IsZero() {
		all = append(all, pair{key: "secretName", flow: quote(t.SecretName.String())})
	}
	if !t.Restart.IsZero() {
		var names []string
		for _, w := range t.Restart.Workloads() {
			names = append(names, quote(w))
		}
		all = append(all, pair{key: "restart", flow: "[" + strings.Join(names, ", ") + "]"})
	}
	return all
}

// selectorFlow writes a selector on one line.
func selectorFlow(s definition.Selector, quote func(string) string) string {
	var v any
	if err := json.Unmarshal(s.JSON(), &v); err != nil {
		return "{}"
	}
	var write func(v any) string
	write = func(v any) string {
		switch v := v.(type) {
		case map[string]any:
			var entries []pair
			for _, key := range slices.Sorted(maps.Keys(v)) {
				entries = append(entries, pair{key: key, flow: write(v[key])})
			}
			return flowWith(quote, entries...)
		case []any:
			items := make([]string, len(v))
			for i, item := range v {
				items[i] = write(item)
			}
			return "[" + strings.Join(items, ", ") + "]"
		}
		return quote(fmt.Sprint(v))
	}
	return write(v)
}
