package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
	"secretsync/reconcile/compose"
)

// The floor does the same work: its Secrets are those that the server makes.
func TestTheFloorOfRichCopiesMakesTheSameSecrets(t *testing.T) {
	f := &fleet{name: "fleet", options: fleetOptions{targets: 1, namespaces: 1, clusters: []string{"production"}, copies: riches}}
	for i := range riches {
		f.names = append(f.names, "secret")
		d, err := parse.File("secrets/secret.yaml", []byte(f.yaml(i)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(riches[i].value(i))
		if err != nil {
			t.Fatal(err)
		}
		var value map[string]any
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber() // as the vault's own client does
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		data := make(map[string][]byte)
		for key, member := range members {
			data[key] = member
			if text, ok := value[key].(string); ok {
				data[key] = []byte(text)
			}
		}
		recipe := compose.Of(d)
		want, fault := recipe.Data(map[definition.SecretPath]compose.Value{d.SecretPath: {
			Data: data, JSON: func(key string) (json.RawMessage, bool) { m, ok := members[key]; return m, ok },
		}})
		if fault != nil {
			t.Fatal(fault)
		}
		got, err := f.bare(i, value)
		if err != nil {
			t.Fatal(err)
		}
		if !maps.EqualFunc(got.Data, want, bytes.Equal) || cmp.Or(string(got.Type), "Opaque") != recipe.Type() || !maps.Equal(got.Labels, recipe.Labels()) || !maps.Equal(got.Annotations, recipe.Annotations()) {
			t.Errorf("copy %d: %q of type %q with %v and %v, and the server makes %q of type %q with %v and %v",
				i, got.Data, got.Type, got.Labels, got.Annotations, want, recipe.Type(), recipe.Labels(), recipe.Annotations())
		}
	}
}
