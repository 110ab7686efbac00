package deploy

import (
	"os"
	"strings"
	"testing"
)

// inCluster are the values of the release that secretsync's own tests run, as a kubelet would, against a real API server and
// a real Vault (TestAPodInACluster in cmd/secretsync): with every kind of file that a pod is given.
const inCluster = `
config:
  pollInterval: 2s
  log: {level: debug}
  vault: {address: VAULT, mount: secret, auth: {kubernetes: {mount: production, role: secretsync-in-cluster, tokenFile: /etc/secretsync/vault-token/token}}}
  clusters:
    home: {inCluster: true}
    elsewhere: {kubeconfig: /etc/secretsync/clusters/elsewhere.kubeconfig}
  tenants:
    acme:
      vault: {prefix: PREFIX}
      clusters:
        home: {namespaces: ["in-cluster-*"]}
        elsewhere: {namespaces: ["in-cluster-*"]}
      keys: [{id: KEYID, displayName: The platform team, role: admin, hash: KEYHASH}]
files: {clusters: {secret: secretsync-clusters}}
vaultToken: {enabled: true}
keys: {store: kubernetes}
target: {clusterWide: true}
tls: {secret: secretsync-tls}
drainSeconds: 2
`

// inReplicas are those of another one, of three pods that share the work, without volumes, in which each has just the rights of
// one namespace for its copies and those at home (TestReplicasInACluster).
const inReplicas = `
replicaCount: 3
replicas: {enabled: true, tlsSecret: secretsync-replicas, lease: 4s}
keys: {store: kubernetes}
persistence: {enabled: false}
vaultToken: {enabled: true}
files: {clusters: {secret: secretsync-clusters}}
target: {namespaces: [in-replicas-copies]}
drainSeconds: 1
config:
  pollInterval: 2s
  log: {level: debug}
  limits: {requestsPerSecond: 10000}
  vault: {address: VAULT, mount: secret, auth: {kubernetes: {mount: production, role: secretsync-in-replicas, tokenFile: /etc/secretsync/vault-token/token}}}
  clusters:
    production: {inCluster: true}
    staging: {kubeconfig: /etc/secretsync/clusters/staging.kubeconfig}
  tenants: {TENANTS: {repository: FORGE}}
`

// UPDATE=1 writes the files.
func TestTheReleasesThatAreRunAreWhatTheChartRenders(t *testing.T) {
	for name, r := range map[string]struct{ namespace, values string }{
		"in-cluster": {namespace, inCluster}, "in-replicas": {"in-replicas", inReplicas},
	} {
		t.Run(name, func(t *testing.T) { holdRelease(t, name, r.namespace, r.values) })
	}
}

func holdRelease(t *testing.T, name, namespace, values string) {
	path := "testdata/" + name + ".yaml"
	var want strings.Builder
	want.WriteString("# What the chart renders of the values in golden_test.go; UPDATE=1 go test -run TestTheReleases writes it.\n")
	for _, o := range objectsOf(t, mustRenderIn(t, name, namespace, values)) {
		want.WriteString("---\n" + withoutHelm(asYAML(t, o)))
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); string(got) != want.String() {
		t.Errorf("%s is not what the chart renders (%v)", path, err)
	}
}
