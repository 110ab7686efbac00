package console

import (
	"bytes"
	"encoding/json"
	"fmt"

	"secretsync/gitstore/definition"
)

// field is one that can stand in a definition, as its schema has it: who writes one
// reads there what the parser holds to.
type field struct {
	Name, About string
	Inner       []field // of each entry, where it is a list
}

// definitionFields are those of the format, in the order of the schema.
func definitionFields() ([]field, error) { return fieldsOf(definition.Schema()) }

func fieldsOf(schema json.RawMessage) ([]field, error) {
	var s struct{ Properties json.RawMessage }
	if err := json.Unmarshal(schema, &s); err != nil {
		return nil, fmt.Errorf("console: the schema can't be read: %w", err)
	}
	if s.Properties == nil {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(s.Properties))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("console: the schema can't be read: %w", err)
	}
	var all []field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("console: the schema can't be read: %w", err)
		}
		var about struct {
			Description string
			Items       json.RawMessage
		}
		if err := d.Decode(&about); err != nil {
			return nil, fmt.Errorf("console: the schema can't be read: %w", err)
		}
		f := field{Name: fmt.Sprint(name), About: about.Description}
		if about.Items != nil {
			if f.Inner, err = fieldsOf(about.Items); err != nil {
				return nil, err
			}
		}
		all = append(all, f)
	}
	return all, nil
}
