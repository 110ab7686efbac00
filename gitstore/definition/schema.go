package definition

import (
	"bytes"
	_ "embed"
)

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of a definition's file, for
// editors. Whatever [secretsync/gitstore/definition/parse.File] accepts is valid by
// it; the reverse holds except for what a schema can't see, such as the file's name,
// keys given twice and YAML's own features. Its limits and patterns are those of the
// Parse functions: a test holds each against them.
func Schema() []byte { return bytes.Clone(schema) }
