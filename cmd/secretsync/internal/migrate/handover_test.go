package migrate

import (
	"strings"
	"testing"
)

// Mode Merge is not synced yet: whoever writes the keys of a shared Secret now has to
// go on, or nobody would rotate them.
func TestASharedSecretStaysWithWhoWritesIt(t *testing.T) {
	const store = "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {name: vault}\nspec: {provider: {vault: {server: 'https://vault', path: secret}}}\n---\n"
	const content = "secretStoreRef: {name: vault, kind: ClusterSecretStore}, target: {name: shared, creationPolicy: Merge}, data: [{secretKey: a, remoteRef: {key: acme/db, property: a}}]"
	for sentence, test := range map[string]struct{ resource, want string }{
		"one": {
			"apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: one, namespace: shop}\nspec: {" + content + "}\n",
			`# Secret shared is shared, which is not synced yet: externalsecrets.external-secrets.io one stays and goes on writing its keys.
`,
		},
		"one in each namespace that matches": {
			"apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: {name: all}\nspec: {namespaceSelectors: [{matchLabels: {team: shop}}], externalSecretSpec: {" + content + "}}\nstatus: {provisionedNamespaces: [web]}\n",
			`# Secret shared is shared, which is not synced yet: clusterexternalsecrets.external-secrets.io all stays and goes on writing its keys.
`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			resources, err := Read("given", []byte(store+test.resource))
			if err != nil {
				t.Fatal(err)
			}
			script := Convert(resources, usual(t)).Handover()
			if !strings.Contains(script, "\n"+test.want) || strings.Contains(script, "\ndrop ") || strings.Contains(script, "\nadopt ") {
				t.Errorf("got\n%s\nwant\n%s", strings.TrimPrefix(script, handoverHead), test.want)
			}
		})
	}
}
