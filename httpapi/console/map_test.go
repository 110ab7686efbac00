package console

import (
	"strings"
	"testing"
)

func TestTheMapShowsEachWayOnce(t *testing.T) {
	p := mapPage{Rows: []*secret{
		{Name: "web", SecretPath: "web", Status: status{Phase: "Active", SyncStatuses: []targetStatus{
			{Cluster: "production", Namespace: "default", State: "Synced", VaultVersions: map[string]int{"web": 3, "shared/ca": 12}},
			{Cluster: "staging", Namespace: "default", State: "Error", VaultVersions: map[string]int{"web": 3, "shared/ca": 12}},
		}}},
		{Name: "api", SecretPath: "shared/ca", Status: status{Phase: "Pending"}, Sync: []target{{Cluster: "production", Namespace: "default"}}},
		{Name: "none", SecretPath: strings.Repeat("long/", 30) + "end", Status: status{Phase: "Active"}},
	}}
	p.lay()
	if len(p.Paths) != 3 || len(p.Definitions) != 3 || len(p.Places) != 2 || len(p.Heads) != 2 {
		t.Fatalf("%d paths, %d definitions, %d places in %d clusters", len(p.Paths), len(p.Definitions), len(p.Places), len(p.Heads))
	}
	web := p.Definitions[0]
	if len(web.Edges) != 4 || web.Edges[3].State != "Error" || web.Label != "web, Active: from web, shared/ca to production/default, staging/default" {
		t.Errorf("%+v", web)
	}
	if none := p.Definitions[2]; len(none.Edges) != 1 || !strings.HasSuffix(none.Label, "to nowhere") {
		t.Errorf("%+v", none)
	}
	if long := p.Paths[2]; len([]rune(long.Text)) > 40 || !strings.HasSuffix(long.Text, "end") || long.Whole != p.Rows[2].SecretPath {
		t.Errorf("%+v", long)
	}
	for i, n := range p.Paths[1:] {
		if n.Y < p.Paths[i].Y+nodeHeight {
			t.Error("two lie on each other")
		}
	}
	if p.Height < p.Definitions[2].Y+nodeHeight {
		t.Errorf("the last is cut off at %d", p.Height)
	}
	if !(&secret{Status: p.Rows[0].Status}).has("shared/ca") {
		t.Error("who gets a value of several is not found by it")
	}
}
