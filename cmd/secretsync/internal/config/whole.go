package config

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// wantWhole records the fields that want a whole number and have another one: the YAML library cuts off their fraction, and takes
// what no int can hold for one that it can. It is for a document that was decoded, and so has no part that holds itself. A whole
// number may be written as a float, such as 1e3.
func (d *document) wantWhole(path string, n *yaml.Node, into reflect.Type) {
	for into.Kind() == reflect.Pointer {
		into = into.Elem()
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			d.wantWhole(path, c, into)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			if into.Kind() == reflect.Slice {
				d.wantWhole(fmt.Sprintf("%s[%d]", path, i), c, into.Elem())
			}
		}
	case yaml.MappingNode:
		all := members(n)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if t := memberType(into, name); t != nil {
				d.wantWhole(strings.TrimPrefix(path+"."+name, "."), all[name], t)
			}
		}
	case yaml.ScalarNode:
		var f float64
		if !isInt(into) || n.ShortTag() != "!!float" || n.Decode(&f) != nil {
			return
		}
		if f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
			d.wrong(path, "is %s where a whole number is wanted", n.Value)
		}
	}
}

func isInt(t reflect.Type) bool {
	return reflect.Int <= t.Kind() && t.Kind() <= reflect.Int64 && t != reflect.TypeFor[time.Duration]()
}

// members returns what a mapping has, by name: its own, and of what it merges (<<) the rest.
func members(n *yaml.Node) map[string]*yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	all := make(map[string]*yaml.Node)
	if n.Kind == yaml.SequenceNode { // of mappings, of which the first that has a member gives it
		for _, c := range n.Content {
			keepFirst(all, members(c))
		}
		return all
	}
	var merged *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key, value := n.Content[i], n.Content[i+1]; key.Value == "<<" {
			merged = value
		} else {
			all[key.Value] = value
		}
	}
	if merged != nil {
		keepFirst(all, members(merged))
	}
	return all
}

func keepFirst(all, more map[string]*yaml.Node) {
	for name, value := range more {
		if _, given := all[name]; !given {
			all[name] = value
		}
	}
}

// memberType returns the type of a mapping's member; nil if it has none of that name.
func memberType(of reflect.Type, name string) reflect.Type {
	switch of.Kind() {
	case reflect.Map:
		return of.Elem()
	case reflect.Struct:
		for field := range of.Fields() {
			tag := field.Tag.Get("yaml")
			if tag == name {
				return field.Type
			}
			if tag == ",inline" {
				if t := memberType(field.Type, name); t != nil {
					return t
				}
			}
		}
	}
	return nil
}
