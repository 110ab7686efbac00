package definition

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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

// quoted writes any text such that every YAML reader takes it for that text, and a
// JSON reader too if it is in quotation marks.
func quoted(s string) string {
	if plainWord.MatchString(s) && !notText.MatchString(s) {
		return s
	}
	return inQuotes(s)
}

// inQuotes writes a text in quotation marks. What Go escapes beyond JSON (\a, \v,
// \x) stands for the same in YAML, but not in JSON.
func inQuotes(s string) string {
	text := strconv.Quote(s)
	return strings.NewReplacer(`\\`, `\\`, `\a`, `\u0007`, `\v`, `\u000b`, `\x`, `\u00`).Replace(text)
}

// flowOf writes a value on one line, with all texts in quotation marks: as JSON, but
// for what JSON readers leave as it is and YAML readers don't.
func flowOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return inQuotes(v)
	case map[string]any:
		var entries []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			entries = append(entries, inQuotes(key)+": "+flowOf(v[key]))
		}
		return "{" + strings.Join(entries, ", ") + "}"
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, flowOf(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	text, err := json.Marshal(v) // a number or a truth
	if err != nil {
		return "null"
	}
	return string(text)
}

// flowWith writes a mapping of keys and values in braces.
func flowWith(quote func(string) string, entries ...pair) string {
	texts := make([]string, len(entries))
	for i, e := range entries {
		texts[i] = quote(e.key) + ": " + e.flow
	}
	return "{" + strings.Join(texts, ", ") + "}"
}

// pairs are the fields of a shape that are given, in their order. quote writes texts.
func (s *Shape) pairs(quote func(string) string) []pair {
	if s == nil {
		return nil
	}
	var all []pair
	text := func(key, text string) {
		if text != "" {
			all = append(all, pair{key: key, flow: quote(text)})
		}
	}
	text(fieldType, s.Type.String())
	text(fieldMode, string(s.Mode))
	if s.Data != nil {
		entries := dataPairs(s.Data, quote)
		all = append(all, pair{key: fieldData, flow: flowWith(quote, entries...), lines: linesOf(entries)})
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
	marks(fieldLabels, s.Labels)
	marks(fieldAnnotations, s.Annotations)
	text(fieldDeletionPolicy, string(s.DeletionPolicy))
	if s.Suspend != nil {
		all = append(all, pair{key: fieldSuspend, flow: strconv.FormatBool(*s.Suspend)})
	}
	text(fieldRefreshInterval, s.RefreshInterval.String())
	return all
}

// linesOf writes entries below each other.
func linesOf(entries []pair) []string {
	var lines []string
	for _, e := range entries {
		if e.lines == nil {
			lines = append(lines, quoted(e.key)+": "+e.flow)
			continue
		}
		lines = append(append(lines, strings.TrimRight(quoted(e.key)+": "+e.style, " ")), indented(e.lines, 2)...)
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

func dataPairs(data []DataKey, quote func(string) string) []pair {
	entries := make([]pair, len(data))
	for i, k := range data {
		entries[i] = k.pair(quote)
	}
	return entries
}

// pair writes what stands under one key of a copy: on one line if it can.
func (k DataKey) pair(quote func(string) string) pair {
	parts := k.parts(quote)
	whole := pair{key: k.Key, flow: flowWith(quote, parts...), parts: parts}
	if slices.ContainsFunc(parts, func(p pair) bool { return p.lines != nil }) {
		whole.lines = linesOf(parts)
	}
	return whole
}

// parts are what a data key consists of. A template of several lines gets lines of
// its own where YAML's literal style gives back just them.
func (k DataKey) parts(quote func(string) string) []pair {
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
		last.flow, last.style, last.lines = inQuotes(k.Template), style, lines
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
		case checkLine([]byte(line)) != "" && !blank, strings.ContainsRune(line, '\t'), strings.HasSuffix(line, " "):
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

// pairs are the fields of a target that are given, in their order.
func (t Target) pairs(quote func(string) string) []pair {
	all := []pair{{key: "cluster", flow: quote(t.Cluster.text.s)}}
	if t.Selector.IsZero() {
		all = append(all, pair{key: "namespace", flow: quote(t.Namespace.text.s)})
	} else {
		all = append(all, pair{key: "namespaceSelector", flow: t.Selector.flow(quote)})
	}
	if !t.SecretName.IsZero() {
		all = append(all, pair{key: "secretName", flow: quote(t.SecretName.text.s)})
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

// flow writes a selector on one line.
func (s Selector) flow(quote func(string) string) string {
	var v any
	if err := json.Unmarshal([]byte(s.s), &v); err != nil {
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
