package parse

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/corpus"
)

const sampleFile = "../../../examples/secrets/db-password.yaml"

// part is as much of the schema as its tests look at.
type part struct {
	MinLength  int             `json:"minLength"`
	MaxLength  int             `json:"maxLength"`
	MaxItems   int             `json:"maxItems"`
	Pattern    string          `json:"pattern"`
	Required   []string        `json:"required"`
	Properties map[string]part `json:"properties"`
	Items      *part           `json:"items"`
	Further    any             `json:"additionalProperties"`
}

func parsedSchema(tb testing.TB) part {
	tb.Helper()
	var root part
	if err := json.Unmarshal(definition.Schema(), &root); err != nil {
		tb.Fatal(err)
	}
	return root
}

func TestSchemaHasTheKeysAndLimitsOfTheParser(t *testing.T) {
	root := parsedSchema(t)
	sync := root.Properties["sync"]
	for _, c := range []struct {
		what           string
		mapping        part
		keys, required []string
	}{
		{"the definition", root, definitionKeys, []string{"name", "secretPath"}},
		{"a target", *sync.Items, targetKeys, []string{"cluster"}},
	} {
		if got := slices.Sorted(maps.Keys(c.mapping.Properties)); !slices.Equal(got, slices.Sorted(slices.Values(c.keys))) {
			t.Errorf("%s has the keys %v, not %v", c.what, got, c.keys)
		}
		if !slices.Equal(c.mapping.Required, c.required) {
			t.Errorf("%s needs %v, not %v", c.what, c.mapping.Required, c.required)
		}
		if c.mapping.Further != false {
			t.Errorf("%s takes unknown keys", c.what)
		}
	}
	if sync.MaxItems != definition.MaxTargets {
		t.Errorf("sync takes %d targets, not %d", sync.MaxItems, definition.MaxTargets)
	}
	for field, limits := range map[string][2]int{"name": {definition.MinNameLen, 63}, "secretPath": {1, definition.MaxSecretPathLen}} {
		if p := root.Properties[field]; p.MinLength != limits[0] || p.MaxLength != limits[1] {
			t.Errorf("%s is %d to %d characters long, not %v", field, p.MinLength, p.MaxLength, limits)
		}
	}
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	content, err := jsonschema.UnmarshalJSON(bytes.NewReader(definition.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("definition.schema.json", content); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("definition.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestSampleIsValidForParserAndSchema(t *testing.T) {
	content, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(content), "# yaml-language-server: $schema=../../gitstore/definition/schema.json\n") {
		t.Error("the sample doesn't name its schema")
	}
	d, err := File("secrets/db-password.yaml", content)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Sync) == 0 {
		t.Error("the sample has no targets")
	}
	if err := compiledSchema(t).Validate(decoded(t, content)); err != nil {
		t.Error(err)
	}
}

// decoded reads YAML as an editor does: with dates as texts.
func decoded(t *testing.T, content []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(content, &v); err != nil {
		t.Fatal(err)
	}
	var plain func(v any) any
	plain = func(v any) any {
		switch v := v.(type) {
		case time.Time:
			return v.Format(time.DateOnly)
		case map[string]any:
			for k := range v {
				v[k] = plain(v[k])
			}
		case []any:
			for i := range v {
				v[i] = plain(v[i])
			}
		}
		return v
	}
	return plain(v)
}

func TestSchemaAcceptsWhatTheParserAccepts(t *testing.T) {
	s := compiledSchema(t)
	for _, c := range corpus.WellFormed {
		if err := s.Validate(decoded(t, []byte(c.Content))); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

// unseen are the malformed definitions that a schema has nothing against: what
// is wrong with them is the file, its name, or the way it is written.
var unseen = []string{
	"a date as secretName", "words that older YAML takes for booleans",
	"a target twice", // one of the two spells its secretName out
	"a name other than the file's", "a file that ends in .yml", "a file name in upper case", "a file in a folder below", "a file name without a name",
	"two documents", "an empty second document", "text after the end of the document",
	"an anchor", "an alias", "a tag", "a tag of one's own", "a tag on the whole", "an anchored key", "a question mark key",
	"a lone exclamation mark for a list", "a lone exclamation mark before a name", "a lone exclamation mark before a list", "a lone exclamation mark before a target",
	"a merge key", "a merge key in a target",
	"a directive", "a file over 64 KiB", "a byte order mark", "a line separator within a comment",
	"a value on several lines", "quotes over several lines", "a lone carriage return", "a lone carriage return at the end",
}

func TestSchemaRefusesWhatItCanSee(t *testing.T) {
	s := compiledSchema(t)
	refused := 0
	for _, c := range corpus.Malformed {
		var v any
		if err := yaml.Unmarshal([]byte(c.Content), &v); err != nil {
			continue // no YAML at all
		}
		err := s.Validate(decoded(t, []byte(c.Content)))
		if err != nil {
			refused++
		}
		if accepted, expected := err == nil, slices.Contains(unseen, c.Name); accepted != expected {
			t.Errorf("%s: accepted is %v, want %v (%v)", c.Name, accepted, expected, err)
		}
	}
	if refused < 25 {
		t.Errorf("only %d are refused", refused)
	}
}

// The patterns of the schema and the Parse functions have to agree on every text.
func FuzzSchemaPatterns(f *testing.F) {
	for _, s := range []string{"a", "a-b", "-a", "a.b", "a..b", ".", "..", "...", "..a", ".a", "a/b", "a//b", "/a", "a/", "@~", "A", "a\n", "é", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a"} {
		f.Add(s)
	}
	root := parsedSchema(f)
	target := root.Properties["sync"].Items
	matches := func(p part, s string) bool {
		return len(s) >= p.MinLength && len(s) <= p.MaxLength && regexp.MustCompile(p.Pattern).MatchString(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		check := func(what string, p part, err error) {
			if want := matches(p, s); want != (err == nil) {
				t.Errorf("%s %q: the schema says %v, the parser %v", what, s, want, err)
			}
		}
		_, err := definition.ParseName(s)
		check("name", root.Properties["name"], err)
		_, err = definition.ParseClusterName(s)
		check("cluster", target.Properties["cluster"], err)
		_, err = definition.ParseNamespace(s)
		check("namespace", target.Properties["namespace"], err)
		_, err = definition.ParseSecretName(s)
		check("secretName", target.Properties["secretName"], err)
		_, err = definition.ParseSecretPath(s)
		check("secretPath", root.Properties["secretPath"], err)
	})
}
