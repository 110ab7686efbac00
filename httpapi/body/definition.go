package body

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
)

// Creation reads what POST …/secrets takes. Other members may be those of
// whoever calls.
func Creation(o Object, others ...string) (definition.Definition, error) {
	if err := o.Only(slices.Concat(others, []string{"name", "secretPath"}, definition.Fields)...); err != nil {
		return definition.Definition{}, err
	}
	name, err := Field(o, "name", definition.ParseName)
	if err != nil {
		return definition.Definition{}, err
	}
	path, err := Field(o, "secretPath", definition.ParseSecretPath)
	if err != nil {
		return definition.Definition{}, err
	}
	change, err := o.change()
	if err != nil {
		return definition.Definition{}, err
	}
	d, err := change.Apply(definition.Definition{Name: name, SecretPath: path})
	return d, o.placed(err)
}

// placed is an error of a definition's field as one of the object's.
func (o Object) placed(err error) error {
	if f, ok := errors.AsType[*definition.FieldError](err); ok {
		return o.Refuse(f.Field, f.Reason)
	}
	return err
}

// change reads the fields that can be changed. Those that every client sends, plain
// targets, are read here; the others by the package that knows their rules.
func (o Object) change() (definition.Change, error) {
	given := make(map[string]any)
	for _, field := range definition.Fields {
		if v, ok := o.Get(field); ok && (field != "sync" || shaped(v)) {
			given[field] = plain(v)
		}
	}
	var change definition.Change
	if len(given) > 0 {
		var err error
		if change, err = parse.Object(given); err != nil {
			return change, o.placed(err)
		}
	}
	if o.Has("sync") && !change.Names("sync") {
		sync, err := parseSync(o)
		if err != nil {
			return change, err
		}
		change.Sync, change.Fields = sync, append(change.Fields, "sync")
	}
	return change, nil
}

// shaped reports whether a list of targets asks for more than places by name.
func shaped(v any) bool {
	list, _ := v.([]any)
	return slices.ContainsFunc(list, func(item any) bool {
		t, ok := item.(Object)
		return ok && (t.Has("namespaceSelector") || t.Has("restart"))
	})
}

// Patch reads what PATCH …/secrets/{name} takes, for the definition of that
// name. Other members may be those of whoever calls.
func Patch(o Object, name definition.Name, others ...string) (definition.Change, error) {
	for _, fixed := range []string{"name", "secretPath"} {
		if o.Has(fixed) && !slices.Contains(others, fixed) {
			return definition.Change{}, o.Refuse(fixed, "is fixed after creation; PATCH takes "+strings.Join(definition.Fields, ", "))
		}
	}
	if err := o.Only(append(others, definition.Fields...)...); err != nil {
		return definition.Change{}, err
	}
	change, err := o.change()
	switch {
	case err != nil:
		return change, err
	case len(change.Fields) == 0:
		return change, o.Refuse("sync", "is missing; send the whole new list, or [] to stop syncing; or another field that is to change")
	}
	// What targets have to keep jointly depends on nothing else. What other fields
	// have to is looked at where the definition is known.
	_, err = definition.New(name, definition.SecretPath{}, change.Sync)
	return change, o.placed(err)
}

// parseSync reads the list of targets; absent and null are the empty list.
func parseSync(o Object) ([]definition.Target, error) {
	v, ok := o.Get("sync")
	if !ok || v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, o.WrongType("sync", v, "a list of targets")
	}
	if len(list) > definition.MaxTargets {
		return nil, o.Refuse("sync", fmt.Sprintf("has %d targets; at most %d are allowed", len(list), definition.MaxTargets))
	}
	targets := make([]definition.Target, len(list))
	for i, item := range list {
		t, err := o.Element("sync", i, item, "an object with cluster, namespace and, optionally, secretName")
		if err != nil {
			return nil, err
		}
		target, err := parseTarget(t)
		if err != nil {
			return nil, err
		}
		targets[i] = target
	}
	return targets, nil
}

func parseTarget(o Object) (t definition.Target, err error) {
	if err := o.Only("cluster", "namespace", "secretName"); err != nil {
		return t, err
	}
	if t.Cluster, err = Field(o, "cluster", definition.ParseClusterName); err != nil {
		return t, err
	}
	if t.Namespace, err = Field(o, "namespace", definition.ParseNamespace); err != nil {
		return t, err
	}
	t.SecretName, err = Optional(o, "secretName", definition.ParseSecretName)
	return t, err
}
