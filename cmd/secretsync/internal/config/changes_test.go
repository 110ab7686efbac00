package config

import (
	"slices"
	"strings"
	"testing"
)

func TestWhatNeedsARestartIsTold(t *testing.T) {
	if fields := (&Config{Listen: ":1"}).NeedRestart(&Config{Listen: ":2"}); !slices.Equal(fields, []string{"listen"}) {
		t.Errorf("fields %q; want listen", fields)
	}
}

func TestWhatChangedIsTold(t *testing.T) {
	load := func(change func(string) string) *Config {
		t.Helper()
		cfg, err := Load(writeConfig(t, change(rightConfig)))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	same := func(s string) string { return s }
	replaced := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	for name, test := range map[string]struct {
		change func(string) string
		want   []string
	}{
		"nothing":                    {same, nil},
		"the interval":               {replaced("dataDir: data", "dataDir: data\npollInterval: 5s"), []string{"pollInterval"}},
		"a tenant's interval":        {replaced("    vault: {mount", "    pollInterval: 5s\n    vault: {mount"), []string{"tenants.acme.pollInterval"}},
		"a tenant that is suspended": {replaced("    vault: {mount", "    suspend: true\n    vault: {mount"), []string{"tenants.acme.suspend"}},
		"a tenant's grants":          {replaced(`["*"]`, `["team-*"]`), []string{"tenants.acme.clusters"}},
		"a tenant's vault":           {replaced("prefix: acme", "prefix: other"), []string{"tenants.acme.vault"}},
		"a role":                     {replaced("role: admin", "role: readonly"), []string{"tenants.acme.keys"}},
		"a cluster's limits":         {replaced("    kubeconfig: kubeconfig", "    kubeconfig: kubeconfig\n    requestsPerSecond: 5"), []string{"clusters.production"}},
		"a cluster and grants":       {func(s string) string { return strings.ReplaceAll(s, "production:", "prod:") }, []string{"tenants.acme.clusters", "clusters.production (removed)", "clusters.prod (added)"}},
		"the namespaces selected":    {replaced("dataDir: data", "dataDir: data\nselectedNamespaces: 50"), []string{"selectedNamespaces"}},
		"those of a tenant":          {replaced("    vault: {mount", "    selectedNamespaces: 50\n    vault: {mount"), []string{"tenants.acme.selectedNamespaces"}},
		"a tenant's brake":           {replaced("    vault: {mount", "    brake: {copies: 3}\n    vault: {mount"), []string{"tenants.acme.brake"}},
		"the least interval":         {replaced("dataDir: data", "dataDir: data\nminRefreshInterval: 5s"), []string{"minRefreshInterval"}},
		"a tenant's least interval":  {replaced("    vault: {mount", "    minRefreshInterval: 5s\n    vault: {mount"), []string{"tenants.acme.minRefreshInterval"}},
	} {
		t.Run(name, func(t *testing.T) {
			running, next := load(same), load(test.change)
			// They lie in folders of their own; a file that is elsewhere is a change.
			next.Clusters = slices.Clone(next.Clusters)
			for i := range next.Clusters {
				next.Clusters[i].Kubeconfig = running.Clusters[0].Kubeconfig
			}
			for i := range next.Tenants {
				next.Tenants[i].Vault.TokenFile = running.Tenants[0].Vault.TokenFile
			}
			changes := running.Changes(next)
			slices.Sort(changes)
			slices.Sort(test.want)
			if !slices.Equal(changes, test.want) {
				t.Errorf("changed %q, want %q", changes, test.want)
			}
		})
	}
}
