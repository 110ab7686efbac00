package definition

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"go.yaml.in/yaml/v3"
)

const (
	// maxProblems bounds what is reported of one file: 64 KiB hold thousands of
	// mistakes, and the first few serve a person better than all of them.
	maxProblems = 20

	causeOfFault = "can't be read; this is a fault of the program, which should be reported with the file"
)

var (
	definitionKeys = slices.Concat([]string{"name", "secretPath"}, shapeKeys, []string{"sync"})
	targetKeys     = []string{"cluster", "namespace", "namespaceSelector", "secretName", "restart"}
)

// Parse reads the definition in the file at filePath (within the
// repository, such as "secrets/db-password.yaml"). It is strict: whatever
// could be read in two ways, or says something the format doesn't know, is an
// error. The error is of type [FileErrors] and lists all that is wrong.
func Parse(filePath string, content []byte) (Definition, error) {
	if d, ok := parsePlain(content); ok && pathOf(d.Name) == filePath {
		return d, nil
	}
	p := &parser{path: filePath}
	file := p.parseNamed(content)
	if err := p.err(); err != nil {
		return Definition{}, err
	}
	return file.definition, nil
}

// document is a definition together with where its parts stand in the
// text. Every scalar of it stands on one line, and every key is followed by
// its ':' on the same line.
type document struct {
	source
	definition             Definition
	root                   *yaml.Node
	name, secretPath, sync entry            // sync.key is nil where the file has none
	fields                 map[string]entry // all keys of the file
	targets                []targetEntry    // as in definition.Sync
}

type entry struct{ key, value *yaml.Node }

type targetEntry struct {
	node                           *yaml.Node
	cluster, namespace, secretName entry // the key is nil where there is none
	selector, restart              entry
}

// parser reads one file and collects what is wrong with it.
type parser struct {
	path     string
	json     bool // it is no file, but what a JSON object holds
	unjoined bool // what fields have to keep jointly is not checked
	src      source
	problems FileErrors
	more     int // problems beyond maxProblems, which are only counted
}

func (p *parser) failAt(line int, format string, args ...any) {
	p.failIn(line, 0, format, args...)
}

func (p *parser) failIn(line, column int, format string, args ...any) {
	if last := max(len(p.src.lines), 1); line > last { // see source.offset
		line, column = last, 0
	}
	if len(p.problems) == maxProblems {
		p.more++
		return
	}
	p.problems = append(p.problems, &FileError{Path: p.path, Line: line, Column: column, Cause: fmt.Sprintf(format, args...)})
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.failIn(n.Line, n.Column, format, args...)
}

// failed returns how many problems were found.
func (p *parser) failed() int { return len(p.problems) + p.more }

// err returns the problems by line, or nil.
func (p *parser) err() error {
	if len(p.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(p.problems, func(a, b *FileError) int { return cmp.Compare(a.Line, b.Line) })
	if p.more > 0 {
		return append(slices.Clip(p.problems), &FileError{Path: p.path, Cause: fmt.Sprintf("%d more mistakes are not listed; mend those above first", p.more)})
	}
	return p.problems
}

// parseNamed parses a file and compares its name with the definition's.
func (p *parser) parseNamed(content []byte) *document {
	want, err := nameOf(p.path)
	if err != nil {
		p.failAt(0, "%s", err.Cause)
	}
	file := p.parse(content)
	if file == nil || err != nil {
		return file
	}
	if name := file.definition.Name; !name.IsZero() && name != want {
		p.fail(file.name.value, "name is %q, but the file is %s: set the name to %s or rename the file to %s",
			name, path.Base(p.path), want, path.Base(pathOf(name)))
	}
	return file
}

// parse returns nil only where the text is no YAML at all; otherwise what it
// returns is complete exactly if no problem was found.
func (p *parser) parse(content []byte) (file *document) {
	// What a tenant commits must not be able to end the process, not even
	// through a fault of the library's or ours.
	defer func() {
		if recover() != nil {
			p.failAt(0, "%s", causeOfFault)
			file = nil
		}
	}()
	if len(content) > MaxFileSize {
		p.failAt(0, "is larger than %d KiB; shorten it", MaxFileSize>>10)
		return nil
	}
	p.src = newSource(content)
	if !p.checkCharacters() {
		return nil
	}
	root, second, err := decodeNodes(content)
	switch {
	case err != nil:
		p.failAt(p.src.explain(err))
		return nil
	case root == nil, root.Kind == yaml.ScalarNode && root.Value == "" && root.ShortTag() == "!!null":
		p.failAt(0, "is empty; a definition has a name, a secretPath and a list sync")
		return nil
	case second > 0:
		p.failAt(second, "a second YAML document begins here; put it into a file of its own")
		return nil
	}
	file = p.definition(root)
	if p.failed() == 0 {
		p.agree(file)
	}
	return file
}

func (p *parser) definition(root *yaml.Node) *document {
	f := &document{source: p.src, root: root}
	entries, ok := p.mapping(root, "", definitionKeys)
	if !ok {
		return f
	}
	d := &f.definition
	f.fields = entries
	f.name, f.secretPath, f.sync = entries["name"], entries["secretPath"], entries["sync"]
	d.Name = parseText(p, root, "", "name", f.name, ParseName)
	d.SecretPath = parseText(p, root, "", "secretPath", f.secretPath, ParseSecretPath)
	if f.sync.key != nil && p.undecorated(f.sync.value, "sync") {
		d.Sync = p.sync(f)
	}
	d.Shape = p.shape(entries)
	if d.Shape.Merges() && entries[fieldData].key == nil && !p.unjoined {
		p.fail(entries[fieldMode].value, "%s", mergeNeedsData)
	}
	return f
}

func (p *parser) sync(f *document) []Target {
	list := f.sync.value
	switch {
	case list.Kind == yaml.ScalarNode && list.ShortTag() == "!!null":
		p.oneLine(list, "sync")
		return nil
	case list.Kind != yaml.SequenceNode:
		p.fail(list, "sync must be a list of targets, not %s; begin each target with '- ', or write [] for none", kindOf(list))
		return nil
	case len(list.Content) > MaxTargets:
		p.fail(list.Content[MaxTargets], "sync has %d targets; at most %d are allowed", len(list.Content), MaxTargets)
		return nil
	}
	targets := make([]Target, len(list.Content))
	f.targets = make([]targetEntry, len(list.Content))
	seen := make(map[Place]int, len(list.Content))
	for i, n := range list.Content {
		before := p.failed()
		where := fmt.Sprintf("sync[%d]", i)
		targets[i], f.targets[i] = p.target(n, where)
		if p.failed() > before {
			continue
		}
		place := targets[i].Place(f.definition.Name)
		if first, ok := seen[place]; ok {
			p.fail(n, "%s is the same target as sync[%d] on line %d; remove one", where, first, list.Content[first].Line)
			continue
		}
		seen[place] = i
	}
	return targets
}

func (p *parser) target(n *yaml.Node, where string) (Target, targetEntry) {
	t, e := Target{}, targetEntry{node: n}
	entries, ok := p.mapping(n, where, targetKeys)
	if !ok {
		return t, e
	}
	e.cluster, e.namespace, e.secretName = entries["cluster"], entries["namespace"], entries["secretName"]
	e.selector, e.restart = entries["namespaceSelector"], entries["restart"]
	t.Cluster = parseText(p, n, where, "cluster", e.cluster, ParseClusterName)
	switch {
	case e.selector.key == nil:
		t.Namespace = parseText(p, n, where, "namespace", e.namespace, ParseNamespace)
	case e.namespace.key != nil:
		p.fail(e.selector.key, "%s has a namespace and a namespaceSelector; remove one of them", where)
	default:
		t.Selector = p.selector(e.selector, where)
	}
	if e.restart.key != nil {
		t.Restart = p.restart(e.restart, where)
	}
	if e.secretName.key != nil {
		t.SecretName = parseText(p, n, where, "secretName", e.secretName, ParseSecretName)
	}
	return t, e
}

// mapping takes a mapping's entries apart; where names the mapping in
// messages and is empty for the whole definition.
func (p *parser) mapping(n *yaml.Node, where string, keys []string) (map[string]entry, bool) {
	what := where
	if where == "" {
		what = "the definition"
	}
	if !p.undecorated(n, what) {
		return nil, false
	}
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s must consist of 'key: value' lines with the keys %s, but is %s", what, enumerate(keys), kindOf(n))
		return nil, false
	}
	entries := make(map[string]entry, len(keys))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !p.key(key, where) {
			continue
		}
		first, twice := entries[key.Value]
		switch {
		case !slices.Contains(keys, key.Value):
			meant := misspelt(key.Value, keys)
			if meant == "" {
				p.fail(key, "unknown key %s; the keys are %s", Quote(join(where, key.Value)), enumerate(keys))
				continue
			}
			p.fail(key, "unknown key %s; did you mean %q?", Quote(join(where, key.Value)), meant)
			if _, ok := entries[meant]; !ok {
				entries[meant] = entry{key, value} // so that it isn't called missing, too
			}
		case twice:
			p.fail(key, "key %s stands twice, first on line %d; remove one", Quote(join(where, key.Value)), first.key.Line)
		default:
			entries[key.Value] = entry{key, value}
		}
	}
	return entries, true
}

// key checks the shape of a key, and reports whether it has a name all the
// same. The layout of keys is held narrower than YAML allows, so that an edit
// can rely on it.
func (p *parser) key(n *yaml.Node, where string) bool {
	in := ""
	if where != "" {
		in = " in " + where
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!merge":
		p.fail(n, "merge keys (<<) are not allowed%s; write the keys out", in)
		return false
	case !p.undecorated(n, "a key"+in):
	case n.Kind != yaml.ScalarNode:
		p.fail(n, "a key%s must be a plain word, not %s", in, kindOf(n))
	case !p.src.keyOnOneLine(n):
		p.fail(n, "write the key %s%s as 'key: value' on one line", Quote(n.Value), in)
	}
	return n.Kind == yaml.ScalarNode
}

// undecorated refuses what makes YAML more than it looks.
func (p *parser) undecorated(n *yaml.Node, what string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		p.fail(n, "%s: aliases (*) are not allowed; write the value out", what)
	case n.Anchor != "":
		p.fail(n, "%s: anchors (&) are not allowed; remove %s", what, Quote("&"+n.Anchor))
	case p.src.begins(n, '!') && n.Style&yaml.TaggedStyle == 0: // the library forgets a lone '!'
		p.fail(n, "%s: tags (!) are not allowed; remove the '!'", what)
	case n.Style&yaml.TaggedStyle != 0:
		p.fail(n, "%s: tags (!) are not allowed; remove %s", what, Quote(n.Tag))
	default:
		return true
	}
	return false
}

func (p *parser) oneLine(n *yaml.Node, what string) bool {
	if _, ok := p.src.scalarEnd(n); !ok {
		p.fail(n, "%s: write the value on one line", what)
		return false
	}
	return true
}

// parseText reads the entry of key with parse; the mapping within is blamed
// where there is none.
func parseText[T any](p *parser, within *yaml.Node, where, key string, e entry, parse func(string) (T, error)) (zero T) {
	what := join(where, key)
	if e.key == nil {
		p.fail(within, "%s is missing; add it", what)
		return zero
	}
	n := e.value
	if !p.undecorated(n, what) {
		return zero
	}
	if n.Kind != yaml.ScalarNode {
		p.fail(n, "%s must be a text, not %s", what, kindOf(n))
		return zero
	}
	switch tag := n.ShortTag(); tag {
	case "!!str":
	case "!!null":
		p.fail(n, "%s has no value; %s", what, map[bool]string{true: "give one or remove the key", false: "give one"}[key == "secretName"])
		return zero
	default:
		if p.json {
			p.fail(n, "%s must be a text, not %s", what, kindOf(n))
			return zero
		}
		p.fail(n, "%s: YAML reads %s as %s, not as a text; put it in quotes: %q", what, Quote(n.Value), kindOf(n), shorten(n.Value))
		return zero
	}
	if !p.oneLine(n, what) {
		return zero
	}
	v, err := parse(n.Value)
	if err != nil {
		p.fail(n, "%s: %s", what, reason(err))
		return zero
	}
	return v
}
