package deploy

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What is wrong with values is told before anything is made, with the value's name.
func TestWrongValuesAreRefusedInWords(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"a name that there is not":         {`replicaCounts: 2`, "additional properties 'replicaCounts' not allowed"},
		"a name within that there is not":  {`image: {registry: example.com}`, "at '/image': additional properties 'registry' not allowed"},
		"a type that does not fit":         {`replicaCount: many`, "at '/replicaCount': got string, want integer"},
		"a word that is none of those":     {`keys: {store: vault}`, "at '/keys/store': value must be one of 'folder', 'kubernetes'"},
		"a digest that is none":            {`image: {digest: latest}`, "at '/image/digest': 'latest' does not match pattern"},
		"a size that is none":              {`persistence: {size: large}`, "at '/persistence/size': 'large' does not match pattern"},
		"a duration that is none":          {`replicas: {lease: 15}`, "at '/replicas/lease': got number, want string"},
		"files from nowhere":               {`files: {vault: {}}`, "at '/files/vault'"},
		"files from two places":            {`files: {vault: {secret: a, configMap: b}}`, "at '/files/vault'"},
		"files in a folder of the chart":   {`files: {config: {secret: a}}`, "'config'"},
		"a name for a namespace's pattern": {`target: {namespaces: ["acme.shop"]}`, "at '/target/namespaces/0'"},
		"a name that no Service can have":  {`fullnameOverride: 1st`, "at '/fullnameOverride': '1st' does not match pattern"},
		"a name with no room behind it":    {`fullnameOverride: ` + strings.Repeat("a", 51), "at '/fullnameOverride': maxLength: got 51, want 50"},
		"an image with its tag in it":      {`image: {repository: "registry.example.com:5000/secretsync:v1"}`, "at '/image/repository'"},
		"a tag that is none":               {`image: {tag: "v1 beta"}`, "at '/image/tag'"},
		"a lease of no time":               {`replicas: {lease: 2s}`, "at '/replicas/lease': '2s' does not match pattern"},
		"a lease that nobody can wait for": {`replicas: {lease: 301s}`, "at '/replicas/lease': '301s' does not match pattern"},
		"a lease of parts of a second":     {`replicas: {lease: 15500ms}`, "at '/replicas/lease'"},
		"more shards than there can be":    {`replicas: {shards: 2000}`, "at '/replicas/shards': maximum: got 2,000, want 1,024"},
		"a label that selects the pods":    {`podLabels: {app.kubernetes.io/instance: other}`, "podLabels: the chart says app.kubernetes.io/instance itself"},
		"a namespace that is none":         {`target: {namespaces: ["acme-*"]}`, "at '/target/namespaces/0'"},
		"a budget that no drain gets past": {`podDisruptionBudget: {maxUnavailable: 0}`, "at '/podDisruptionBudget/maxUnavailable': minimum: got 0, want 1"},
		"a runbook that is nowhere":        {`monitoring: {rules: {runbookURL: runbooks/secretsync}}`, "at '/monitoring/rules/runbookURL': 'runbooks/secretsync' does not match pattern"},
		"a runbook's section":              {`monitoring: {rules: {runbookURL: "https://example.com/runbook#top"}}`, "at '/monitoring/rules/runbookURL'"},
		"root":                             {`runAs: {user: 0}`, "at '/runAs/user': minimum: got 0, want 1"},
		"too little time to end":           {`terminationGracePeriodSeconds: 10`, "at '/terminationGracePeriodSeconds': minimum: got 10, want 30"},
		"less time to end than it takes": {`{terminationGracePeriodSeconds: 40, drainSeconds: 20}`,
			"terminationGracePeriodSeconds: has to be at least 45: drainSeconds"},
		"several pods that don't share the work": {`replicaCount: 2`, "replicaCount: several pods would all do the same work; set replicas.enabled"},
		"pods that don't know each other":        {`{replicaCount: 2, replicas: {enabled: true}, keys: {store: kubernetes}}`, "replicas.tlsSecret: is missing"},
		"keys that count in one pod only":        {`{replicaCount: 2, replicas: {enabled: true, tlsSecret: a}}`, "keys.store: with replicas.enabled it has to be kubernetes"},
		"keys that go with the pod":              {`persistence: {enabled: false}`, "keys.store: without persistence.enabled it has to be kubernetes"},
		"a repository that goes with the pod": {`{persistence: {enabled: false}, keys: {store: kubernetes}, config: {tenants: {acme: {vault: {prefix: acme}}}}}`,
			"config.tenants.acme.repository: is missing; without persistence.enabled what is committed would go with the pod"},
		"a repository without a place": {`{persistence: {enabled: false}, keys: {store: kubernetes}, config: {tenants: {acme: {repository: {receipts: true}}}}}`, "config.tenants.acme.repository: is missing"},
		"a repository in a volume that there is not": {`{persistence: {enabled: false}, keys: {store: kubernetes}, replicas: {enabled: true, tlsSecret: a}, config: {tenants: {acme: {onReplica: secretsync-0}}}}`,
			"config.tenants.acme.repository: is missing; without persistence.enabled"},
		"a repository that one of several pods has": {`{keys: {store: kubernetes}, replicas: {enabled: true, tlsSecret: a}, config: {tenants: {acme: {}}}}`,
			"config.tenants.acme.repository: is missing; with replicas.enabled name a remote repository, or in onReplica the pod whose volume has it, such as secretsync-0"},
		"a tenant of which nothing is said": {`config: {tenants: {acme: }}`, "config.tenants.acme: says nothing"},
		"clusters without names":            {`config: {clusters: [production]}`, "config.clusters: is no mapping"},
		"a heading with nothing below it":   {`tls: `, "missing property 'tls'"},
		"a field with nothing behind it":    {`keys: {store: }`, "at '/keys': missing property 'store'"},
		"what the chart says itself":        {`config: {dataDir: /data}`, "config.dataDir: the chart says that itself"},
		"a cluster without rights":          {`config: {clusters: {home: {inCluster: true}}}`, "config.clusters.home is the cluster that the server runs in, where it has no rights"},
		"two configurations":                {`{existingConfigMap: mine, config: {workers: 3}}`, "config: is not used with existingConfigMap"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, "secretsync", c.values)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// What is right stays so: a heading of one's values below which all is commented out, and repositories that are somewhere.
func TestRightValuesAreTaken(t *testing.T) {
	const shared = `keys: {store: kubernetes}
replicas: {enabled: true, tlsSecret: a}
`
	for name, values := range map[string]string{
		"fields with nothing behind them":      `{tls: {secret: }, image: {tag: , digest: }, existingConfigMap: , podLabels: , env: , resources: , fullnameOverride: }`,
		"a repository in a volume":             `config: {tenants: {acme: {vault: {prefix: acme}}}}`,
		"one at a forge, by its URL alone":     "persistence: {enabled: false}\nconfig: {tenants: {acme: {repository: \"https://forge.example.com/acme.git\"}}}\n" + shared,
		"one at a forge, and more about it":    "persistence: {enabled: false}\nconfig: {tenants: {acme: {repository: {url: \"https://forge.example.com/acme.git\"}}}}\n" + shared,
		"one in the volume of a certain pod":   "config: {tenants: {acme: {onReplica: secretsync-0}}}\n" + shared,
		"no tenants, and no clusters, as yet":  `config: {tenants: , clusters: }`,
		"a configuration of one's own instead": `{existingConfigMap: mine, config: {}}`,
	} {
		t.Run(name, func(t *testing.T) {
			rendered := mustRender(t, "secretsync", values)
			for file, content := range rendered {
				if strings.Contains(content, "%!") || strings.Contains(content, "<nil>") {
					t.Errorf("%s:\n%s", file, content)
				}
			}
		})
	}
}

// Where the cluster gives each namespace users of its own it refuses pods that name another.
func TestTheClusterMayChooseWhomThePodsRunAs(t *testing.T) {
	for values, want := range map[string]map[string]any{
		``:                                 {"runAsUser": 65532.0, "runAsGroup": 65532.0, "fsGroup": 65532.0},
		`runAs: {user: null, group: null}`: {},
		`runAs: {user: 1000640000}`:        {"runAsUser": 1000640000.0, "runAsGroup": 65532.0, "fsGroup": 65532.0},
	} {
		for _, o := range objectsOf(t, mustRender(t, "secretsync", values)) {
			if o.GetKind() != "StatefulSet" {
				continue
			}
			got, _, err := unstructured.NestedMap(o.Object, "spec", "template", "spec", "securityContext")
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range []string{"runAsUser", "runAsGroup", "fsGroup"} {
				if got[field] != want[field] {
					t.Errorf("with %q %s is %v; want %v", values, field, got[field], want[field])
				}
			}
			if got["runAsNonRoot"] != true {
				t.Errorf("with %q they may be root: %v", values, got)
			}
		}
	}
}
