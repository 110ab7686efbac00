package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/httpapi/conformance"
)

// refusedWell fails unless err is the error of a field in one line.
func refusedWell(t *testing.T, err error) {
	t.Helper()
	f, ok := errors.AsType[*definition.FieldError](err)
	if !ok || f.Reason == "" || strings.ContainsAny(err.Error(), "\n\r\x00") {
		t.Errorf("refused with %v; want the error of a field in one line", err)
	}
}

// FuzzCreate holds that a body that is accepted means the same to any other
// JSON reader, and keeps every rule of a definition.
func FuzzCreate(f *testing.F) {
	for _, b := range conformance.BadBodies {
		f.Add([]byte(strings.ReplaceAll(b.Body, "NAME", "db-password")))
	}
	f.Add([]byte(`{"name":"db-password","secretPath":"a/b","sync":[{"cluster":"c","namespace":"n","secretName":"s.t"},{"cluster":"c","namespace":"m","secretName":null}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := Parse(text)
		var d definition.Definition
		if err == nil {
			d, err = Creation(o)
		}
		if err != nil {
			refusedWell(t, err)
			return
		}
		var plain struct {
			Name       string
			SecretPath string
			Sync       []struct{ Cluster, Namespace, SecretName string }
		}
		strict := json.NewDecoder(bytes.NewReader(text))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&plain); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if d.Name.String() != plain.Name || d.SecretPath.String() != plain.SecretPath || len(d.Sync) != len(plain.Sync) {
			t.Fatalf("read %+v; encoding/json reads %+v", d, plain)
		}
		for i, target := range d.Sync {
			if p := plain.Sync[i]; target.Cluster.String() != p.Cluster || target.Namespace.String() != p.Namespace || target.SecretName.String() != p.SecretName {
				t.Fatalf("sync[%d] is read as %+v; encoding/json reads %+v", i, target, p)
			}
		}
		if _, err := definition.New(d.Name, d.SecretPath, d.Sync); err != nil {
			t.Fatalf("accepted what is no definition: %v", err)
		}
	})
}

func FuzzPatch(f *testing.F) {
	for _, b := range conformance.BadPatches {
		f.Add([]byte(strings.ReplaceAll(b.Body, "NAME", "db-password")))
	}
	f.Add([]byte(`{"sync":[{"cluster":"c","namespace":"n"}]}`))
	f.Add([]byte(`{"sync":null}`))
	name, err := definition.ParseName("db-password")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := Parse(text)
		var change definition.Change
		if err == nil {
			change, err = Patch(o, name)
		}
		if err != nil {
			refusedWell(t, err)
			return
		}
		var plain map[string]json.RawMessage
		if err := json.Unmarshal(text, &plain); err != nil || len(plain) != len(change.Fields) || len(plain) == 0 {
			t.Fatalf("accepted %s: %v", text, err)
		}
		if len(change.Sync) > definition.MaxTargets {
			t.Fatalf("%d targets", len(change.Sync))
		}
	})
}
