package definitions

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"secretsync/httpapi/problem/problemtest"

	"secretsync/httpapi/conformance"
)

// FuzzBatch holds that what is accepted is what any other JSON reader reads.
func FuzzBatch(f *testing.F) {
	for _, b := range conformance.BadBatches {
		f.Add([]byte(strings.ReplaceAll(b.Body, "NAME", "db-password")))
	}
	f.Add([]byte(`{"operations":[{"op":"create","name":"aa","secretPath":"b"},{"op":"patch","name":"bb","sync":null,"ifMatch":"*"},{"op":"delete","name":"cc","ifMatch":"\"x\""}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		operations, err := parseBatch(body)
		if err != nil {
			problemtest.RefusedWell(t, err)
			return
		}
		var plain struct {
			Operations []struct {
				Op, Name, SecretPath string
				IfMatch              *string
				Sync                 []struct{ Cluster, Namespace, SecretName string }
			}
		}
		strict := json.NewDecoder(bytes.NewReader(body))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&plain); err != nil || len(plain.Operations) != len(operations) {
			t.Fatalf("accepted what encoding/json reads as %+v: %v", plain, err)
		}
		for i, o := range operations {
			if p := plain.Operations[i]; o.op != p.Op || o.name.String() != p.Name {
				t.Fatalf("operations[%d] is read as %+v; encoding/json reads %+v", i, o, p)
			}
		}
	})
}
