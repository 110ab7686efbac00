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

// UPDATE=1 writes the file.
func TestTheReleaseThatIsRunIsWhatTheChartRenders(t *testing.T) {
	const path = "testdata/in-cluster.yaml"
	var want strings.Builder
	want.WriteString("# What the chart renders of the values in golden_test.go; UPDATE=1 go test -run " + t.Name() + " writes it.\n")
	for _, o := range objectsOf(t, mustRender(t, "in-cluster", inCluster)) {
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
