package body

import (
	"errors"
	"fmt"
	"slices"

	"secretsync/gitstore/definition"
)

// Creation reads what POST …/secrets takes. Other members may be those of
// whoever calls.
func Creation(o Object, others ...string) (definition.Definition, error) {
	if err := o.Only(append(others, "name", "secretPath", "sync")...); err != nil {
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
	sync, err := parseSync(o)
	if err != nil {
		return definition.Definition{}, err
	}
	return o.joined(name, path, sync)
}

// joined checks what parts of a definition have to keep jointly.
func (o Object) joined(name definition.Name, path definition.SecretPath, sync []definition.Target) (definition.Definition, error) {
	d, err := definition.New(name, path, sync)
	if f, ok := errors.AsType[*definition.FieldError](err); ok {
		return d, o.Refuse(f.Field, f.Reason)
	}
	return d, err
}

// Patch reads what PATCH …/secrets/{name} takes, for the definition of that
// name. Other members may be those of whoever calls.
func Patch(o Object, name definition.Name, others ...string) ([]definition.Target, error) {
	for _, fixed := range []string{"name", "secretPath"} {
		if o.Has(fixed) && !slices.Contains(others, fixed) {
			return nil, o.Refuse(fixed, "is fixed after creation; PATCH takes sync alone")
		}
	}
	if err := o.Only(append(others, "sync")...); err != nil {
		return nil, err
	}
	if !o.Has("sync") {
		return nil, o.Refuse("sync", "is missing; send the whole new list, or [] to stop syncing")
	}
	sync, err := parseSync(o)
	if err != nil {
		return nil, err
	}
	// What targets have to keep jointly does not depend on the path.
	definition, err := o.joined(name, definition.SecretPath{}, sync)
	return definition.Sync, err
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
