package commits

import (
	"testing"

	"secretsync/httpapi/problem/problemtest"

	"secretsync/gitstore/definition/folder"
)

func FuzzPlan(f *testing.F) {
	f.Add([]byte(`{"from":"main","to":"0123456"}`))
	f.Add([]byte(`{"files":{"secrets/db.yaml":"name: db\nsecretPath: db\n","secrets/old.yaml":null},"partial":true}`))
	f.Add([]byte(`{"files":{"secrets/../x":"","secrets/a/b.yaml":"x"},"to":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parsePlan(body)
		if err != nil {
			problemtest.RefusedWell(t, err)
			return
		}
		if p.from == "" || (p.to != "") == (p.files != nil || p.removed != nil) && p.to != "" {
			t.Fatalf("accepted %s as %+v", body, p)
		}
		set, err := folder.Read(p.files, 10)
		if err != nil || set.Count+len(set.Strange) != len(p.files) {
			t.Fatalf("of %d files %d are told: %v", len(p.files), set.Count+len(set.Strange), err)
		}
	})
}
