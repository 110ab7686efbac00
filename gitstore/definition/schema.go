package definition

import (
	"bytes"
	"encoding/json"
)

// The patterns say in a schema's words what the Parse functions of this
// package demand; a test holds the two together.
const (
	labelPattern     = `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
	subdomainPattern = labelPattern + `(\.` + labelPattern + `)*`
	// A segment is neither "." nor "..". Lookahead would be shorter, but not
	// every reader of schemas has it.
	segmentPattern    = `([A-Za-z0-9_~@:=+-]|\.[A-Za-z0-9_~@:=+-]|\.\.[A-Za-z0-9._~@:=+-])[A-Za-z0-9._~@:=+-]*`
	secretPathPattern = segmentPattern + `(/` + segmentPattern + `)*`

	maxLabelLen      = 63
	maxSecretNameLen = 253
)

// schema is as much of JSON Schema as a definition needs.
type schema struct {
	Schema      string            `json:"$schema,omitempty"`
	Title       string            `json:"title,omitempty"`
	Description string            `json:"description,omitempty"`
	Type        any               `json:"type"` // a string or several
	MinLength   int               `json:"minLength,omitempty"`
	MaxLength   int               `json:"maxLength,omitempty"`
	Pattern     string            `json:"pattern,omitempty"`
	MaxItems    int               `json:"maxItems,omitempty"`
	UniqueItems bool              `json:"uniqueItems,omitempty"`
	Items       *schema           `json:"items,omitempty"`
	Required    []string          `json:"required,omitempty"`
	Properties  map[string]schema `json:"properties,omitempty"`
	Closed      *bool             `json:"additionalProperties,omitempty"`
}

// Schema returns the JSON Schema (draft 2020-12) of a definition's
// file, for editors. Whatever [Parse] accepts is valid by it; the
// reverse holds except for what a schema can't see, such as the file's name,
// keys given twice and YAML's own features.
func Schema() []byte {
	word := func(description string, least, most int, pattern string) schema {
		return schema{Type: "string", Description: description, MinLength: least, MaxLength: most, Pattern: "^" + pattern + "$"}
	}
	closed := new(bool)
	target := schema{
		Type:     "object",
		Required: []string{"cluster", "namespace"},
		Properties: map[string]schema{
			"cluster":    word("The cluster, by the name it is registered under for the tenant.", 1, maxLabelLen, labelPattern),
			"namespace":  word("The namespace in that cluster.", 1, maxLabelLen, labelPattern),
			"secretName": word("The name of the Kubernetes Secret; without it, the definition's name.", 1, maxSecretNameLen, subdomainPattern),
		},
		Closed: closed,
	}
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	err := out.Encode(schema{
		Schema:      "https://json-schema.org/draft/2020-12/schema",
		Title:       "secretsync definition",
		Description: "Which value of the vault is copied to which namespaces of which clusters.",
		Type:        "object",
		Required:    []string{"name", "secretPath"},
		Properties: map[string]schema{
			"name":       word("The definition's name. The file is named after it: <name>.yaml.", MinNameLen, maxLabelLen, labelPattern),
			"secretPath": word("The KV v2 secret below the tenant's mount and prefix.", 1, MaxSecretPathLen, secretPathPattern),
			"sync": {
				Type:        []string{"array", "null"},
				Description: "The targets. Without any, nothing is synced.",
				MaxItems:    MaxTargets,
				UniqueItems: true,
				Items:       &target,
			},
		},
		Closed: closed,
	})
	if err != nil {
		panic(err) // strings and numbers only
	}
	return text.Bytes()
}
