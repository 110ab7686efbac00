package parse

import (
	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
)

// Document is a definition together with where its parts stand in the
// text. Every scalar of it stands on one line, and every key is followed by
// its ':' on the same line.
type Document struct {
	yamltext.Source
	Definition             definition.Definition
	Root                   *yaml.Node
	name, SecretPath, Sync Entry            // Sync.Key is nil where the file has none
	Fields                 map[string]Entry // all keys of the file
	Targets                []TargetEntry    // as in Definition.Sync
}

// Entry is an entry of a mapping.
type Entry struct{ Key, Value *yaml.Node }

// TargetEntry is where the parts of a target stand.
type TargetEntry struct {
	Node                           *yaml.Node
	Cluster, Namespace, SecretName Entry // Key is nil where there is none
	selector, restart              Entry
}

// Read reads a definition and where its parts stand in the text. The error is of type
// [definition.FileErrors] and names no path.
func Read(content []byte) (*Document, error) {
	p := &parser{}
	f := p.parse(content)
	return f, p.err()
}

// ReadUnjoined is Read without the check of what fields have to keep jointly, which a
// definition need not keep while it is edited field by field.
func ReadUnjoined(content []byte) (*Document, error) {
	p := &parser{unjoined: true}
	f := p.parse(content)
	return f, p.err()
}
