// Package parse owns how a definition is read: from the file that people or programs
// wrote, or from the members of a JSON object.
//
// [File] is strict: what could be read in two ways, or says something the format doesn't
// know, is an error with line and cause, and all of them are told at once. [Object] reads
// a change. [Read] tells besides where each part stands in the text, for whoever edits it.
//
//	the bytes ─► characters ─► YAML ─► mappings, targets, shape ─► a second reader of YAML ─► Definition
//	              (problems)  (explain)  (mapping, target, shape)    agrees (agree)
//	      └─► the form that the API writes, read quickly (plain) ─────────────────────────────►┘
//
// What it guarantees:
//   - A definition that it returns keeps every rule of the format, and means the same to
//     kubectl and to other readers of YAML.
//   - No input, however hostile, ends the process, and no message can be forged by what a
//     file holds.
package parse

import (
	"path"
	"slices"

	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
)

var (
	definitionKeys = slices.Concat([]string{"name", "secretPath"}, definition.Fields)
	targetKeys     = []string{"cluster", "namespace", "namespaceSelector", "secretName", "restart"}
)

// File reads the definition in the file at filePath (within the
// repository, such as "secrets/db-password.yaml"). It is strict: whatever
// could be read in two ways, or says something the format doesn't know, is an
// error. The error is of type [definition.FileErrors] and lists all that is wrong.
func File(filePath string, content []byte) (definition.Definition, error) {
	if d, ok := parsePlain(content); ok && definition.PathOf(d.Name) == filePath {
		return d, nil
	}
	p := &parser{path: filePath}
	file := p.parseNamed(content)
	if err := p.err(); err != nil {
		return definition.Definition{}, err
	}
	return file.Definition, nil
}

// parseNamed parses a file and compares its name with the definition's.
func (p *parser) parseNamed(content []byte) *Document {
	want, err := definition.NameOfPath(p.path)
	if err != nil {
		p.failAt(0, "%s", err.Cause)
	}
	file := p.parse(content)
	if file == nil || err != nil {
		return file
	}
	if name := file.Definition.Name; !name.IsZero() && name != want {
		p.fail(file.name.Value, "name is %q, but the file is %s: set the name to %s or rename the file to %s",
			name, path.Base(p.path), want, path.Base(definition.PathOf(name)))
	}
	return file
}

// parse returns nil only where the text is no YAML at all; otherwise what it
// returns is complete exactly if no problem was found.
func (p *parser) parse(content []byte) (file *Document) {
	// What a tenant commits must not be able to end the process, not even
	// through a fault of the library's or ours.
	defer func() {
		if recover() != nil {
			p.failAt(0, "%s", causeOfFault)
			file = nil
		}
	}()
	if len(content) > definition.MaxFileSize {
		p.failAt(0, "is larger than %d KiB; shorten it", definition.MaxFileSize>>10)
		return nil
	}
	p.src = yamltext.NewSource(content)
	if !p.checkCharacters() {
		return nil
	}
	root, second, err := yamltext.Decode(content)
	switch {
	case err != nil:
		p.failAt(explain(p.src, err))
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

func (p *parser) definition(root *yaml.Node) *Document {
	f := &Document{Source: p.src, Root: root}
	entries, ok := p.mapping(root, "", definitionKeys)
	if !ok {
		return f
	}
	d := &f.Definition
	f.Fields = entries
	f.name, f.SecretPath, f.Sync = entries["name"], entries["secretPath"], entries["sync"]
	d.Name = parseText(p, root, "", "name", f.name, definition.ParseName)
	d.SecretPath = parseText(p, root, "", "secretPath", f.SecretPath, definition.ParseSecretPath)
	if f.Sync.Key != nil && p.undecorated(f.Sync.Value, "sync") {
		d.Sync = p.sync(f)
	}
	d.Shape = p.shape(entries)
	if entries[definition.FieldData].Key == nil && !p.unjoined {
		if err := d.Shape.Check(); err != nil {
			p.fail(entries[definition.FieldMode].Value, "%s", reason(err))
		}
	}
	return f
}

// Located is [File], and tells where the targets stand.
func Located(filePath string, content []byte) (definition.Located, error) {
	p := &parser{path: filePath}
	parsed := p.parseNamed(content)
	if err := p.err(); err != nil {
		return definition.Located{}, err
	}
	l := definition.Located{Definition: parsed.Definition, Targets: make([]definition.Position, len(parsed.Targets))}
	for i, t := range parsed.Targets {
		l.Targets[i] = definition.Position{Line: t.Node.Line, Column: t.Node.Column}
	}
	if e := parsed.Fields[definition.FieldType]; e.Value != nil {
		l.Type = definition.Position{Line: e.Value.Line, Column: e.Value.Column}
	}
	return l, nil
}
