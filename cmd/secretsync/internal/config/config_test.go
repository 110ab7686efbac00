package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rightConfig is a small configuration that is right; the cases below spoil it.
const rightConfig = `dataDir: data
vault:
  address: https://vault.example.com:8200
  auth:
    token: {file: token}
clusters:
  production:
    kubeconfig: kubeconfig
tenants:
  acme:
    vault: {mount: secret, prefix: acme}
    clusters:
      production:
        namespaces: ["*"]
    keys:
      - id: ak-k5xw2b7q3mzt
        displayName: Platform team
        role: admin
        hash: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
`

const kubeconfigOfTests = `{apiVersion: v1, kind: Config, current-context: c,
contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443"}}],
users: [{name: u, user: {token: t}}]}
`

// writeConfig lays a configuration and the files it names in a new folder.
func writeConfig(t *testing.T, content string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append(files, "token", "kubeconfig") {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		content := "x"
		if strings.HasSuffix(name, "kubeconfig") {
			content = kubeconfigOfTests
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "secretsync.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheSampleConfigurationIsRight(t *testing.T) {
	sample, err := os.ReadFile("../../../../examples/secretsync.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := writeConfig(t, string(sample),
		"clusters/production-eu.kubeconfig", "clusters/staging.kubeconfig", "vault/acme.secret-id")
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	tenant := cfg.Tenants[0]
	if got := tenant.Vault.Address; got != "https://vault.example.com:8200" {
		t.Errorf("the tenant's vault address is %q; it should be the shared one", got)
	}
	if got := len(tenant.Grants); got != 2 {
		t.Errorf("the tenant has %d clusters, want 2", got)
	}
	if got := tenant.Vault.AppRole.SecretIDFile; got != filepath.Join(filepath.Dir(path), "vault/acme.secret-id") {
		t.Errorf("the secret id's file is %q; it should lie beside the configuration", got)
	}
}

// The sample is also the reference: every field there is stands in it, live or
// behind a '#'.
func TestTheSampleConfigurationShowsEveryField(t *testing.T) {
	sample, err := os.ReadFile("../../../../examples/secretsync.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, typeName := range []string{
		"configFile", "homeFile", "keysFile", "replicasFile", "tlsFile", "logFile", "committerFile", "limitsFile", "gitFile", "vaultFile", "authFile",
		"tokenAuthFile", "appRoleAuthFile", "kubernetesAuthFile", "jwtAuthFile", "certAuthFile", "clusterFile", "tenantFile", "signaturesFile", "repositoryFields", "webhookFile", "githubAppFile", "forgeFile", "grantFile", "keyFile",
	} {
		fields := fieldsOf(typeName)
		if len(fields) == 0 {
			t.Errorf("no fields of %s", typeName)
		}
		for _, field := range fields {
			if !strings.Contains(string(sample), field+":") {
				t.Errorf("field %s of %s is not in the sample", field, typeName)
			}
		}
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	cfg, err := Load(writeConfig(t, rightConfig))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Listen != "127.0.0.1:8080" || cfg.PollInterval != time.Minute || cfg.Workers != 32 {
		t.Errorf("got listen %q, pollInterval %v, workers %d", cfg.Listen, cfg.PollInterval, cfg.Workers)
	}
	if got := cfg.Tenants[0].Repository; got.Branch.String() != "main" || got.AllowForcePush {
		t.Errorf("the repository is kept by %+v", got)
	}
	if cfg.Tenants[0].DisplayName != "acme" {
		t.Errorf("displayName is %q; without one it is the tenant's name", cfg.Tenants[0].DisplayName)
	}
}

func TestAWholeNumberMayBeWrittenAsAFloat(t *testing.T) {
	for _, written := range []string{"1000", "1e3", "1000.0", "!!float 1000"} {
		cfg, err := Load(writeConfig(t, "workers: "+written+"\n"+rightConfig))
		if err != nil || cfg.Workers != 1000 {
			t.Errorf("%s: got %+v, %v", written, cfg, err)
		}
	}
}

func TestATenantMayHaveItsOwnBranch(t *testing.T) {
	for own, want := range map[string]string{"": "trunk", "    branch: team/main\n    allowForcePush: true\n": "team/main"} {
		cfg, err := Load(writeConfig(t, "branch: trunk\n"+strings.Replace(rightConfig, "  acme:\n", "  acme:\n"+own, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Tenants[0].Repository; got.Branch.String() != want || got.AllowForcePush != (own != "") {
			t.Errorf("with %q the repository is kept by %+v", own, got)
		}
	}
}

func TestAWrongConfigurationNamesLineFieldAndRemedy(t *testing.T) {
	tests := map[string]struct{ old, new, want string }{
		"an unknown field at the top":          {"dataDir: data", "datadir: data", ":1: datadir: unknown field; known here: audit, brake, branch, clusters, committer, console, dataDir"},
		"an unknown field deep inside":         {"mount: secret", "mont: secret", ":11: mont: unknown field; known here: address, auth, authNamespace, caFile, clientCertFile"},
		"a field twice":                        {"dataDir: data", "dataDir: data\ndataDir: other", `:2: mapping key "dataDir" already defined at line 1`},
		"text where a duration is wanted":      {"dataDir: data", "dataDir: data\npollInterval: often", ":2: pollInterval: is a text where a duration such as 30s or 1m is wanted"},
		"a number where a duration is wanted":  {"dataDir: data", "dataDir: data\npollInterval: 5", ":2: pollInterval: is a number where a duration such as 30s or 1m is wanted"},
		"a fraction where there can be none":   {"dataDir: data", "dataDir: data\nworkers: 1.5", ":2: workers: is 1.5 where a whole number is wanted"},
		"a fraction in a mapping on one line":  {"dataDir: data", "dataDir: data\nbrake: {share: 1.5, copies: 1.5}", ":2: brake.copies: is 1.5 where a whole number is wanted"},
		"a fraction of less than one":          {"dataDir: data", "dataDir: data\nlimits:\n  burst: 0.5", ":3: limits.burst: is 0.5 where a whole number is wanted"},
		"a fraction by an alias":               {"dataDir: data", "dataDir: data\nlimits: {requestsPerSecond: &rate 2.5}\nworkers: *rate", ":3: workers: is 2.5 where a whole number is wanted"},
		"a fraction that is merged":            {"tenants:\n", "tenants:\n  other: &other\n    vault: {mount: secret, connections: 1.5}\n  third: {<<: [*other], suspend: true}\n", ":11: tenants.third.vault.connections: is 1.5 where a whole number is wanted"},
		"a number that is out of reach":        {"dataDir: data", "dataDir: data\nworkers: -1e30", ":2: workers: is -1e30 where a whole number is wanted"},
		"a number beyond the other end":        {"dataDir: data", "dataDir: data\nworkers: 1e30", ":2: workers: is a number where a whole number is wanted"},
		"a number less than all others":        {"dataDir: data", "dataDir: data\ngit: {maxPushMiB: -.inf}", ":2: git.maxPushMiB: is -.inf where a whole number is wanted"},
		"text where a whole number is wanted":  {"dataDir: data", "dataDir: data\nworkers: many", ":2: workers: is a text where a whole number is wanted"},
		"a list where text is wanted":          {"dataDir: data", "dataDir: [data]", ":1: dataDir: is a list where text is wanted"},
		"broken YAML":                          {"dataDir: data", "dataDir: [data", "secretsync.yaml:"},
		"two documents":                        {"dataDir: data", "---\ndataDir: data\n---", "holds more than one YAML document; keep one"},
		"no data folder":                       {"dataDir: data\n", "", "dataDir: is missing; name the folder"},
		"an address without a port":            {"dataDir: data", "dataDir: data\nlisten: localhost", `:2: listen: "localhost" is no address; write host:port`},
		"a port that there can't be":           {"dataDir: data", "dataDir: data\nlisten: ':99999'", `:2: listen: ":99999" has no port that there can be`},
		"a port by its name":                   {"dataDir: data", "dataDir: data\nlisten: ':web'", `:2: listen: ":web" has no port that there can be`},
		"a space before an address":            {"dataDir: data", "dataDir: data\nlisten: ' 10.0.0.7:8080'", `:2: listen: " 10.0.0.7:8080" is no address`},
		"an IPv6 address without brackets":     {"dataDir: data", "dataDir: data\nlisten: '::1:8080'", `:2: listen: "::1:8080" is no address; write host:port, such as 127.0.0.1:8080, [::1]:8080 or`},
		"metrics where the API is":             {"dataDir: data", "dataDir: data\nlisten: 127.0.0.1:8080\nmetricsListen: ':8080'", `:3: metricsListen: ":8080" is taken by listen, "127.0.0.1:8080"; give it a port of its own, or leave it out`},
		"what is merged, wrong":                {"dataDir: data", "dataDir: data\n<<: {home: {kubeconfig: kubeconfig, namespace: A}}", ":2: home.namespace: namespace: "},
		"what is merged from elsewhere, wrong": {"tenants:\n", "tenants:\n  other: &other\n    pollInterval: 1ms\n    vault: {mount: secret}\n  third: {<<: [*other], suspend: true}\n", ":11: tenants.third.pollInterval: 1ms is too short"},
		"a brake beyond all copies":            {"dataDir: data", "dataDir: data\nbrake: {share: 101}", ":2: brake.share: is 101; it is a percentage, from 0 to 100"},
		"a brake of less than no copy":         {"dataDir: data", "dataDir: data\nbrake: {copies: -1}", ":2: brake.copies: is -1; it can't be less than 0"},
		"fewer selected namespaces than none":  {"dataDir: data", "dataDir: data\nselectedNamespaces: -1", ":2: selectedNamespaces: "},
		"a refresh interval that is too short": {"dataDir: data", "dataDir: data\nminRefreshInterval: 1ms", ":2: minRefreshInterval: 1ms is too short; use at least 1s"},
		"no poll interval at all":              {"dataDir: data", "dataDir: data\npollInterval: 0s", ":2: pollInterval: 0s is too short; use at least 1s"},
		"a poll interval that is too short":    {"dataDir: data", "dataDir: data\npollInterval: 1ms", ":2: pollInterval: 1ms is too short; use at least 1s"},
		"half of a certificate":                {"dataDir: data", "dataDir: data\ntls: {certFile: token}", ":2: tls: certFile and keyFile go together"},
		"a text after a quoted one":            {"dataDir: data", `dataDir: "data" x`, ":1: did not find expected key; check the indentation, quotes"},
		"a cluster without credentials":        {"    kubeconfig: kubeconfig", "    context: x", ":7: clusters.production: has no kubeconfig; name one"},
		"a drain that is a hang":               {"dataDir: data", "dataDir: data\ndrain: 1h", "1h0m0s is no time to end in; use one up to 10m0s, such as 5s"},
		"a cluster with two credentials":       {"kubeconfig: kubeconfig", "kubeconfig: kubeconfig\n    inCluster: true", "has both kubeconfig and inCluster; keep one"},
		"a vault address without scheme":       {"https://vault", "vault", ":11: tenants.acme.vault.address: \"vault.example.com:8200\" is no URL"},
		"no vault mount":                       {"mount: secret, ", "", ":11: tenants.acme.vault.mount: is missing"},
		"a prefix that climbs":                 {"prefix: acme", "prefix: ../acme", ":11: tenants.acme.vault.prefix: "},
		"no way to log in":                     {"    token: {file: token}", "    {}", "gives 0 ways to log in; give exactly one of appRole, cert, jwt, kubernetes and token"},
		"two ways to log in":                   {"token: {file: token}", "token: {file: token}\n    kubernetes: {role: acme}", "gives 2 ways to log in"},
		"a JWT login without its file":         {"token: {file: token}", "jwt: {role: acme}", "jwt.tokenFile: is missing; give the file that holds the token"},
		"a login without its certificate":      {"token: {file: token}", "cert: {}", "auth.cert: is missing; give clientCertFile and clientKeyFile"},
		"a certificate without its key":        {"mount: secret", "clientCertFile: token, mount: secret", "tenants.acme.vault: vault: give clientCertFile and clientKeyFile, or neither"},
		"a timeout in which nothing answers":   {"kubeconfig: kubeconfig", "kubeconfig: kubeconfig\n    timeout: 1ms", "clusters.production.timeout: 1ms is too short"},
		"a rate below zero":                    {"kubeconfig: kubeconfig", "kubeconfig: kubeconfig\n    requestsPerSecond: -1", "clusters.production.requestsPerSecond: is -1"},
		"an AppRole without its id":            {"token: {file: token}", "appRole: {secretIDFile: token}", "appRole.roleID: is missing; give the role's id"},
		"a cluster that is not registered":     {"      production:\n        names", "      prod:\n        names", `:13: tenants.acme.clusters.prod: there is no cluster "prod" under clusters`},
		"a grant without namespaces":           {`namespaces: ["*"]`, "namespaces: []", `:14: tenants.acme.clusters.production.namespaces: is missing`},
		"a namespace pattern that is broken":   {`["*"]`, `["[a"]`, `namespaces[0]: "[a" is no pattern`},
		"a tenant's name in capitals":          {"  acme:", "  Acme:", ":10: tenants.Acme: "},
		"a key's role that does not exist":     {"role: admin", "role: root", `:16: tenants.acme.keys[0]: role: must be "readonly", "admin" or "sync"`},
		"a key in place of its hash":           {"hash: sha256:9f86", "hash: kupe_9f86", ":16: tenants.acme.keys[0]: hash: must be"},
		"the same key twice":                   {"    keys:\n", "    keys:\n      - {id: ak-k5xw2b7q3mzt, displayName: A, role: admin, hash: \"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}\n", `"ak-k5xw2b7q3mzt" stands at tenants.acme.keys[0] too`},
		"a log level that does not exist":      {"dataDir: data", "dataDir: data\nlog: {level: loud}", `log.level: "loud" is no level; use debug, info, warn or error`},
		"a branch that can't be":               {"dataDir: data", "dataDir: data\nbranch: a..b", `:2: branch: "a..b" is no name of a branch`},
		"a tenant's branch that can't be":      {"  acme:\n", "  acme:\n    branch: /main\n", `:11: tenants.acme.branch: "/main" is no name of a branch`},
		"a home without a namespace":           {"dataDir: data", "dataDir: data\nhome: {kubeconfig: kubeconfig}", ":2: home.namespace: is missing; name the namespace"},
		"a home in no namespace":               {"dataDir: data", "dataDir: data\nhome: {kubeconfig: kubeconfig, namespace: A}", ":2: home.namespace: namespace: "},
		"a home without its kubeconfig":        {"dataDir: data", "dataDir: data\nhome:\n  kubeconfig: nowhere", ":3: home.kubeconfig: can't be read: "},
		"a home whose kubeconfig is none":      {"dataDir: data", "dataDir: data\nhome: {kubeconfig: kubeconfig, context: x}", `:2: home.kubeconfig: can't be used: invalid configuration: [context was not found for specified context: x`},
		"a context of the pod":                 {"dataDir: data", "dataDir: data\nhome: {context: x}", ":2: home.context: is one of a kubeconfig"},
		"keys that are kept elsewhere":         {"dataDir: data", "dataDir: data\nkeys: {store: vault}", `:2: keys.store: "vault" is neither folder nor kubernetes`},
		"keys in no cluster":                   {"dataDir: data", "dataDir: data\nkeys: {store: kubernetes}", ":2: keys.store: kubernetes needs home"},
		"a proxy that is no address":           {"dataDir: data", "dataDir: data\ntrustedProxies: [lb]", `trustedProxies[0]: "lb" is no address`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			spoilt := strings.Replace(rightConfig, tt.old, tt.new, 1)
			if spoilt == rightConfig {
				t.Fatalf("%q is not in the configuration", tt.old)
			}
			_, err := Load(writeConfig(t, spoilt))
			if err == nil {
				t.Fatal("it was taken for right")
			}
			if !strings.Contains(err.Error(), "secretsync.yaml") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %s\nwant …%s…", err, tt.want)
			}
		})
	}
}

// A file may come later, and concerns only who needs it.
func TestAFileThatIsNotThereIsAWarning(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"a kubeconfig without any context": {"kubeconfig: kubeconfig", "kubeconfig: /dev/null", `:7: clusters.production: has no context "" in kubeconfig /dev/null`},
		"a kubeconfig that is none":        {"kubeconfig: kubeconfig", "kubeconfig: token", ":8: clusters.production.kubeconfig: can't be read:"},
		"a context that does not exist":    {"kubeconfig: kubeconfig", "kubeconfig: kubeconfig\n    context: x", `:7: clusters.production: has no context "x" in kubeconfig`},
		"a kubeconfig that is not there":   {"kubeconfig: kubeconfig", "kubeconfig: nowhere", ":8: clusters.production.kubeconfig: can't be read:"},
		"a token that is not there":        {"token: {file: token}", "token: {file: nowhere}", "tenants.acme.vault.auth.token.file: can't be read:"},
		"a secret id that is not there":    {"token: {file: token}", "appRole: {roleID: r, secretIDFile: nowhere}", "tenants.acme.vault.auth.appRole.secretIDFile: can't be read:"},
		"a CA that is not there":           {"mount: secret", "caFile: nowhere, mount: secret", ":11: tenants.acme.vault.caFile: can't be read:"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Load(writeConfig(t, strings.Replace(rightConfig, tt.old, tt.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], tt.want) {
				t.Errorf("warnings %q, want %q", cfg.Warnings, tt.want)
			}
		})
	}
}

func TestAnEmptyConfigurationSaysHowToBegin(t *testing.T) {
	_, err := Load(writeConfig(t, ""))
	if err == nil || !strings.Contains(err.Error(), "is empty; begin with a copy of examples/secretsync.yaml") {
		t.Errorf("got %v", err)
	}
}

// A secret may stand in the wrong place; the message must not repeat it.
func TestAnErrorDoesNotRepeatTheValue(t *testing.T) {
	_, err := Load(writeConfig(t, "workers: hunter2-canary\n"))
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

func FuzzLoadConfig(f *testing.F) {
	f.Add(rightConfig)
	f.Add("a: &a [*a]\n")
	f.Add("tenants: {acme: {keys: [{}]}}\n---\n")
	f.Fuzz(func(t *testing.T, content string) {
		cfg, err := Load(writeConfig(t, content))
		if (cfg == nil) == (err == nil) {
			t.Errorf("got %v and %v; want one of them", cfg, err)
		}
	})
}
