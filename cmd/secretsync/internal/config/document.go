package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Error lists everything that is wrong with a configuration file, a
// line each: the file, the line, the field and the remedy.
type Error struct{ problems []string }

func (e *Error) Error() string { return strings.Join(e.problems, "\n") }

// document is a decoded configuration file that remembers where each field
// stands, so that a later check can name file and line.
type document struct {
	path     string
	lines    map[string]int // by field path, such as "tenants.acme.vault.mount"
	problems []string
	warnings []string
	configFile
}

// readConfigFile decodes a file strictly: an unknown or repeated field, a
// value of the wrong type and a second document are errors. Relative paths in
// it are resolved against its folder by [document.file].
func readConfigFile(path string) (*document, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	d := &document{path: path, lines: map[string]int{}}
	var root yaml.Node
	if err := yaml.Unmarshal(content, &root); err != nil {
		return nil, d.syntaxError(err)
	}
	d.index("", &root)

	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	switch err := decoder.Decode(&d.configFile); {
	case errors.Is(err, io.EOF):
		return nil, &Error{[]string{path + ": is empty; begin with a copy of examples/secretsync.yaml"}}
	case err != nil:
		return nil, d.syntaxError(err)
	}
	d.indexMerged("", &root)
	d.wantWhole("", &root, reflect.TypeFor[configFile]())
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, &Error{[]string{path + ": holds more than one YAML document; keep one"}}
	}
	return d, nil
}

// index records the line of every field below n.
func (d *document) index(path string, n *yaml.Node) {
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			d.index(path, c)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			field := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
			d.lines[field] = n.Content[i].Line
			d.index(field, n.Content[i+1])
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			field := fmt.Sprintf("%s[%d]", path, i)
			d.lines[field] = c.Line
			d.index(field, c)
		}
	}
}

// indexMerged records the line of each field that a mapping has by a merge (<<). It is for a document that was decoded, and so has
// no part that holds itself.
func (d *document) indexMerged(path string, n *yaml.Node) {
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			d.indexMerged(path, c)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Value != "<<" {
				d.indexMerged(strings.TrimPrefix(path+"."+key.Value, "."), value)
				continue
			}
			sources := []*yaml.Node{value}
			if value.Kind == yaml.SequenceNode {
				sources = value.Content
			}
			for _, source := range sources {
				if source.Kind == yaml.AliasNode {
					source = source.Alias
				}
				d.merge(path, source)
			}
		}
	}
}

// merge records the fields of one mapping as those of another one, which may have its own in their place.
func (d *document) merge(path string, from *yaml.Node) {
	for i := 0; i+1 < len(from.Content); i += 2 {
		field := strings.TrimPrefix(path+"."+from.Content[i].Value, ".")
		if _, own := d.lines[field]; !own {
			d.lines[field] = from.Content[i].Line
			d.index(field, from.Content[i+1])
		}
	}
	d.indexMerged(path, from)
}

// wrong records that a field is wrong. The line is that of the field, or of
// the nearest field around it that is written in the file.
func (d *document) wrong(field, format string, args ...any) {
	d.problems = append(d.problems, d.said(field, format, args...))
}

// warn records what the operator should know of a field that is right.
func (d *document) warn(field, format string, args ...any) {
	d.warnings = append(d.warnings, d.said(field, format, args...))
}

func (d *document) said(field, format string, args ...any) string {
	return d.at(field) + ": " + fmt.Sprintf(format, args...)
}

// at names a field, with file and line.
func (d *document) at(field string) string {
	line := 0
	for at := field; at != "" && line == 0; at = at[:max(strings.LastIndexAny(at, ".["), 0)] {
		line = d.lines[at]
	}
	place := d.path
	if line > 0 {
		place = fmt.Sprintf("%s:%d", d.path, line)
	}
	return place + ": " + field
}

// err returns what [document.wrong] recorded, or nil.
func (d *document) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	return &Error{d.problems}
}

// file resolves a path that stands in the configuration.
func (d *document) file(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(d.path), path)
}

var (
	yamlPlace   = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	yamlUnknown = regexp.MustCompile(`^field (\S+) not found in type config\.(\w+)$`)
	yamlType    = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: `.*`)? into (\\S+)$")
)

// syntaxError turns the YAML library's words into ours: it speaks of Go types
// and repeats values, which may be secret.
func (d *document) syntaxError(err error) error {
	lines := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		lines = typed.Errors
	}
	e := &Error{}
	for _, line := range lines {
		place, cause := d.path, line
		if m := yamlPlace.FindStringSubmatch(line); m != nil {
			place, cause = d.path+":"+m[1], m[2]
		}
		if m := yamlUnknown.FindStringSubmatch(cause); m != nil {
			cause = fmt.Sprintf("%s: unknown field; known here: %s", m[1], strings.Join(fieldsOf(m[2]), ", "))
		} else if m := yamlType.FindStringSubmatch(cause); m != nil {
			cause = fmt.Sprintf("%sis a %s where %s is wanted", d.fieldAt(line), yamlKind(m[1]), goKind(m[2]))
		} else if typed == nil {
			cause += "; check the indentation, quotes and colons of this line and the one before it"
			if place == d.path {
				place += ":1" // the library leaves the first line out
			}
		}
		e.problems = append(e.problems, place+": "+cause)
	}
	return e
}

// fieldAt names the outermost field on the line that one of the library's
// errors speaks of, followed by a colon.
func (d *document) fieldAt(message string) string {
	m := yamlPlace.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	outermost := ""
	for field, line := range d.lines {
		if strconv.Itoa(line) == m[1] && (outermost == "" || len(field) < len(outermost)) {
			outermost = field
		}
	}
	if outermost == "" {
		return ""
	}
	return outermost + ": "
}

// fieldsOf lists the fields of one of the types above by its Go name.
func fieldsOf(typeName string) []string {
	var fields []string
	seen := map[reflect.Type]bool{}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		for t.Kind() == reflect.Map || t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || seen[t] {
			return
		}
		seen[t] = true
		for field := range t.Fields() {
			if t.Name() == typeName {
				fields = append(fields, field.Tag.Get("yaml"))
			}
			visit(field.Type)
		}
	}
	visit(reflect.TypeFor[configFile]())
	slices.Sort(fields)
	return fields
}

func yamlKind(tag string) string {
	switch tag {
	case "map":
		return "mapping"
	case "seq":
		return "list"
	case "str":
		return "text"
	case "int", "float":
		return "number"
	case "bool":
		return "truth value"
	}
	return tag
}

func goKind(name string) string {
	switch {
	case name == "time.Duration":
		return "a duration such as 30s or 1m"
	case name == "time.Time":
		return "a time such as 2026-01-31T00:00:00Z"
	case name == "string":
		return "text"
	case name == "bool":
		return "true or false"
	case strings.HasPrefix(name, "int"):
		return "a whole number"
	case strings.HasPrefix(name, "float"):
		return "a number"
	case strings.HasPrefix(name, "[]"):
		return "a list"
	}
	return "a mapping"
}
