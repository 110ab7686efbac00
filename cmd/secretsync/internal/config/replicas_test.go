package config

import (
	"strings"
	"testing"
	"time"

	"secretsync/gitstore"
)

// several is a configuration for one of several replicas; the cases below spoil it.
const several = `home: {kubeconfig: kubeconfig, namespace: here}
keys: {store: kubernetes}
replicas: {id: r-0, listen: "10.0.0.7:8444", certFile: token, keyFile: token, caFile: token}
`

func severalConfig() string {
	return several + strings.Replace(rightConfig, "  acme:\n", "  acme:\n    repository: https://forge.example.com/acme.git\n", 1)
}

func TestOneOfSeveralReplicas(t *testing.T) {
	t.Setenv("POD_NAME", "pod-7")
	t.Setenv("POD_IP", "10.1.2.3")
	for name, tt := range map[string]struct {
		old, new        string
		id, at          string
		lease           time.Duration
		shards, pinned  int
		warning, listen string
	}{
		"with what is needed, and defaults":      {"", "", "r-0", "10.1.2.3:8444", 15 * time.Second, 16, 0, "", "10.0.0.7:8444"},
		"in a pod":                               {`id: r-0, listen: "10.0.0.7:8444", `, "", "pod-7", "10.1.2.3:8444", 15 * time.Second, 16, 0, "", ":8444"},
		"with everything said":                   {"id: r-0", "id: r-1, address: \"peer:1\", shards: 4, lease: 30s", "r-1", "peer:1", 30 * time.Second, 4, 0, "", "10.0.0.7:8444"},
		"with a tenant whose volume is with one": {"repository: https://forge.example.com/acme.git", "onReplica: secretsync-0", "r-0", "10.1.2.3:8444", 15 * time.Second, 16, 1, "", "10.0.0.7:8444"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Load(writeConfig(t, strings.Replace(severalConfig(), tt.old, tt.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if r := cfg.Replicas; r.Name != tt.id || r.Address != tt.at || r.Lease != tt.lease || r.Shards != tt.shards || len(r.Pins) != tt.pinned || r.Listen != tt.listen {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAnAddressThatOnlyAPodCanTellIsAWarning(t *testing.T) {
	t.Setenv("POD_IP", "")
	cfg, err := Load(writeConfig(t, strings.Replace(severalConfig(), `listen: "10.0.0.7:8444", `, "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "secretsync.yaml:3: replicas.address: is missing, and POD_IP is not set") {
		t.Errorf("%q", cfg.Warnings)
	}
}

func TestReplicasThatCanNotWorkAreRefused(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"without a cluster for their Leases":     {"home: {kubeconfig: kubeconfig, namespace: here}\n", "", ":2: replicas: needs home"},
		"with keys of their own each":            {"keys: {store: kubernetes}\n", "", ":2: replicas: needs keys: {store: kubernetes}"},
		"without certificates":                   {"certFile: token, ", "", ":3: replicas.certFile: is missing; give the file with the certificate that this replica presents"},
		"with a repository that one of them has": {"    repository: https://forge.example.com/acme.git\n", "", "tenants.acme: has its repository in dataDir, which the other replicas don't have: give it repository.url, or name the replica"},
		"with a name that can't be":              {"id: r-0", "id: R 0", `:3: replicas.id: "R 0" can't be the name of a replica`},
		"with a tenant at what can't be":         {"repository: https://forge.example.com/acme.git", "onReplica: A", `tenants.acme.onReplica: "A" can't be the name of a replica`},
		"with a lease of parts of a second":      {"id: r-0", "lease: 5500ms", ":3: replicas.lease: is 5.5s; use whole seconds, from 3s to 5m0s"},
		"with a lease that nobody can wait for":  {"id: r-0", "lease: 1h", ":3: replicas.lease: is 1h0m0s; use whole seconds, from 3s to 5m0s"},
		"with a lease of no time":                {"id: r-0", "lease: 0s", ":3: replicas.lease: is 0s; use whole seconds"},
		"with no shard":                          {"id: r-0", "shards: 0", ":3: replicas.shards: is 0; use a number from 1 to 1024"},
		"with half a shard":                      {"id: r-0", "shards: 1.5", ":3: replicas.shards: is 1.5 where a whole number is wanted"},
		"with an address that is each one's own": {"id: r-0", "address: ':8444'", `:3: replicas.address: ":8444" leads whoever dials it to himself`},
		"with an address of everywhere":          {"id: r-0", "address: '[::]:8444'", `:3: replicas.address: "[::]:8444" leads whoever dials it to himself`},
		"with an address of no port":             {"id: r-0", "address: 'peer:0'", `:3: replicas.address: "peer:0" leads whoever dials it to himself, or nowhere`},
		"where the API is":                       {`listen: "10.0.0.7:8444"`, `listen: ":8080"`, `:3: replicas.listen: ":8080" is taken by listen, "127.0.0.1:8080"; give it a port of its own, or take the default, :8444`},
		"with less than a shard":                 {"id: r-0", "shards: -1", ":3: replicas.shards: is -1; use a number from 1 to 1024"},
		"with an address that is none":           {"id: r-0", "address: here", `:3: replicas.address: "here" is no address`},
		"that are only one":                      {several, "", ""},
		"that are only one, with a place for it": {several, "", "tenants.acme.onReplica: says something only with replicas"},
	} {
		t.Run(name, func(t *testing.T) {
			content := severalConfig()
			if strings.Contains(tt.want, "only with replicas") {
				content = strings.Replace(content, "repository: https://forge.example.com/acme.git", "onReplica: secretsync-0", 1)
			}
			spoilt := strings.Replace(content, tt.old, tt.new, 1)
			if spoilt == content {
				t.Fatalf("%q is not in the configuration", tt.old)
			}
			_, err := Load(writeConfig(t, spoilt))
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got  %v\nwant …%s…", err, tt.want)
			}
		})
	}
}

func TestNarrowedToSomeTenantsTheOthersAreElsewhere(t *testing.T) {
	cfg := &Config{Listen: "here"}
	for _, name := range []string{"a", "b", "c"} {
		n, err := gitstore.ParseTenantName(name)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Tenants = append(cfg.Tenants, Tenant{Name: n})
	}
	only := cfg.Only(func(n gitstore.TenantName) bool { return n.String() == "b" })
	if len(only.Tenants) != 1 || only.Tenants[0].Name.String() != "b" || len(only.Elsewhere) != 2 || only.Listen != "here" || len(cfg.Tenants) != 3 {
		t.Errorf("%+v", only)
	}
}
