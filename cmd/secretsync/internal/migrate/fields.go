package migrate

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
)

// object reads one mapping of a resource and remembers which of its fields were
// asked for. What nobody asked for is found by [object.unread], so that a field
// this package has never heard of can't be dropped in silence.
//
// Every method works on a mapping that is absent, as on one without fields.
type object struct {
	path   string     // within the resource, such as "spec.target"
	node   *yaml.Node // nil where it is absent
	parent int        // line to blame where there is no node
	asked  map[string]bool
	opened []*object
	fields map[string]*object // those of opened that are fields and no items of a list
	wrong  *[]mistake         // shared by all objects of a resource
}

// mistake is a field that is not of the kind it must be.
type mistake struct {
	line        int
	field, text string
}

func newObject(path string, node *yaml.Node, parent int, wrong *[]mistake) *object {
	o := &object{path: path, parent: parent, asked: map[string]bool{}, fields: map[string]*object{}, wrong: wrong}
	switch {
	case node == nil || isNull(node):
	case node.Kind != yaml.MappingNode:
		o.mistaken(node, path, "is not a mapping")
	default:
		o.node = node
		o.checkKeys()
	}
	return o
}

// checkKeys refuses a mapping that readers of YAML disagree about.
func (o *object) checkKeys() {
	seen := make(map[string]bool)
	for i := 0; i+1 < len(o.node.Content); i += 2 {
		key := o.node.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			o.mistaken(key, o.path, "has a key that is no text")
		case seen[key.Value]:
			o.mistaken(key, o.at(plain(key.Value)), "stands twice")
		}
		seen[key.Value] = true
	}
}

func (o *object) mistaken(n *yaml.Node, field, text string) {
	if n.Kind == yaml.AliasNode {
		text = "is an alias (*); write the value out"
	}
	*o.wrong = append(*o.wrong, mistake{n.Line, field, text})
}

// field returns the value of a key, nil where it is absent or null, and the line
// to blame for it.
func (o *object) field(key string) *yaml.Node {
	o.asked[key] = true
	if o.node == nil {
		return nil
	}
	for i := 0; i+1 < len(o.node.Content); i += 2 {
		if value := o.node.Content[i+1]; o.node.Content[i].Value == key && !isNull(value) {
			return value
		}
	}
	return nil
}

// has reports whether there is anything under the key, be it wrong or right.
func (o *object) has(key string) bool {
	n := o.field(key)
	return n != nil && (n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode || len(n.Content) > 0)
}

// line returns the line a key stands on, or that of the mapping.
func (o *object) line(key string) int {
	if o.node == nil {
		return o.parent
	}
	for i := 0; i+1 < len(o.node.Content); i += 2 {
		if o.node.Content[i].Value == key {
			return o.node.Content[i].Line
		}
	}
	return o.node.Line
}

// lineOfNode returns the line the mapping begins on.
func (o *object) lineOfNode() int {
	if o.node == nil {
		return o.parent
	}
	return o.node.Line
}

func (o *object) at(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

// ignore says that some fields change nothing.
func (o *object) ignore(keys ...string) {
	for _, key := range keys {
		o.asked[key] = true
	}
}

func (o *object) text(key string) string {
	n := o.field(key)
	switch {
	case n == nil:
		return ""
	case n.Kind != yaml.ScalarNode:
		o.mistaken(n, o.at(key), "is not a text")
		return ""
	}
	return n.Value
}

func (o *object) flag(key string) bool {
	n := o.field(key)
	if n == nil {
		return false
	}
	value, err := strconv.ParseBool(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		o.mistaken(n, o.at(key), "is neither true nor false")
	}
	return value
}

func (o *object) number(key string) int {
	n := o.field(key)
	if n == nil {
		return 0
	}
	value, err := strconv.Atoi(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		o.mistaken(n, o.at(key), "is not a number")
	}
	return value
}

func (o *object) object(key string) *object {
	child, ok := o.fields[key]
	if !ok {
		child = newObject(o.at(key), o.field(key), o.line(key), o.wrong)
		o.fields[key], o.opened = child, append(o.opened, child)
	}
	return child
}

func (o *object) items(key string) []*yaml.Node {
	n := o.field(key)
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		o.mistaken(n, o.at(key), "is not a list")
		return nil
	}
	return n.Content
}

func (o *object) objects(key string) []*object {
	var list []*object
	for i, n := range o.items(key) {
		child := newObject(fmt.Sprintf("%s[%d]", o.at(key), i), n, n.Line, o.wrong)
		list, o.opened = append(list, child), append(o.opened, child)
	}
	return list
}

func (o *object) texts(key string) []string {
	var list []string
	for i, n := range o.items(key) {
		if n.Kind != yaml.ScalarNode {
			o.mistaken(n, fmt.Sprintf("%s[%d]", o.at(key), i), "is not a text")
			continue
		}
		list = append(list, n.Value)
	}
	return list
}

// unread calls found for every field below that was never asked for.
func (o *object) unread(found func(line int, field string)) {
	if o.node != nil {
		for i := 0; i+1 < len(o.node.Content); i += 2 {
			if key := o.node.Content[i]; !o.asked[key.Value] {
				found(key.Line, o.at(plain(key.Value)))
			}
		}
	}
	for _, child := range o.opened {
		child.unread(found)
	}
}

// plain shows a key as it is where it can forge nothing, else quoted.
func plain(s string) string {
	if len(s) > 80 || s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return definition.Quote(s)
	}
	return s
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
