package deploy

import (
	"strings"
	"testing"
)

// What is wrong with values is told before anything is made, with the value's name.
func TestWrongValuesAreRefusedInWords(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"a name that there is not":        {`replicaCounts: 2`, "additional properties 'replicaCounts' not allowed"},
		"a name within that there is not": {`image: {registry: example.com}`, "at '/image': additional properties 'registry' not allowed"},
		"a type that does not fit":        {`replicaCount: many`, "at '/replicaCount': got string, want integer"},
		"a word that is none of those":    {`keys: {store: vault}`, "at '/keys/store': value must be one of 'folder', 'kubernetes'"},
		"a digest that is none":           {`image: {digest: latest}`, "at '/image/digest': 'latest' does not match pattern"},
		"a size that is none":             {`persistence: {size: large}`, "at '/persistence/size': 'large' does not match pattern"},
		"a duration that is none":         {`replicas: {lease: 15}`, "at '/replicas/lease': got number, want string"},
		"files from nowhere":              {`files: {vault: {}}`, "at '/files/vault'"},
		"files from two places":           {`files: {vault: {secret: a, configMap: b}}`, "at '/files/vault'"},
		"files in a folder of the chart":  {`files: {config: {secret: a}}`, "'config'"},
		"a namespace that is none":        {`target: {namespaces: ["acme-*"]}`, "at '/target/namespaces/0'"},
		"too little time to end":          {`terminationGracePeriodSeconds: 10`, "at '/terminationGracePeriodSeconds': minimum: got 10, want 30"},
		"less time to end than it takes": {`{terminationGracePeriodSeconds: 40, drainSeconds: 20}`,
			"terminationGracePeriodSeconds: has to be at least drainSeconds and 25 more"},
		"several pods that don't share the work": {`replicaCount: 2`, "replicaCount: several pods would all do the same work; set replicas.enabled"},
		"pods that don't know each other":        {`{replicaCount: 2, replicas: {enabled: true}, keys: {store: kubernetes}}`, "replicas.tlsSecret: is missing"},
		"keys that count in one pod only":        {`{replicaCount: 2, replicas: {enabled: true, tlsSecret: a}}`, "keys.store: with replicas.enabled it has to be kubernetes"},
		"keys that go with the pod":              {`persistence: {enabled: false}`, "keys.store: without persistence.enabled it has to be kubernetes"},
		"what the chart says itself":             {`config: {dataDir: /data}`, "config.dataDir: the chart says that itself"},
		"a cluster without rights":               {`config: {clusters: {home: {inCluster: true}}}`, "config.clusters.home is the cluster that the server runs in, where it has no rights"},
		"two configurations":                     {`{existingConfigMap: mine, config: {workers: 3}}`, "config: is not used with existingConfigMap"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, "secretsync", c.values)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}
