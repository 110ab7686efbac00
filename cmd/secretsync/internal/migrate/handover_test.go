package migrate

import (
	"strings"
	"testing"
)

// The controller makes a Secret its own as a whole where it is told to leave it
// behind, so that must not be said of one that others share.
func TestASharedSecretIsHandedOverWithoutBecomingTheControllersAsAWhole(t *testing.T) {
	const store = "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {name: vault}\nspec: {provider: {vault: {server: 'https://vault', path: secret}}}\n---\n"
	const content = "secretStoreRef: {name: vault, kind: ClusterSecretStore}, target: {name: shared, creationPolicy: Merge}, data: [{secretKey: a, remoteRef: {key: acme/db, property: a}}]"
	for sentence, test := range map[string]struct{ resource, want string }{
		"one": {
			"apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: one, namespace: shop}\nspec: {" + content + "}\n",
			`change '{"spec":{"target":{"deletionPolicy":"Retain"}}}' -n shop externalsecrets.external-secrets.io one
drop -n shop externalsecrets.external-secrets.io one
adopt shop shared shared
`,
		},
		"one in each namespace that matches": {
			"apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: {name: all}\nspec: {namespaceSelectors: [{matchLabels: {team: shop}}], externalSecretSpec: {" + content + "}}\nstatus: {provisionedNamespaces: [web]}\n",
			`change '{"spec":{"externalSecretSpec":{"target":{"deletionPolicy":"Retain"}}}}' clusterexternalsecrets.external-secrets.io all
if there -n web externalsecrets.external-secrets.io all; then kubectl wait --for='jsonpath={.spec.target.deletionPolicy}=Retain' --timeout=2m -n web externalsecrets.external-secrets.io all; fi
drop clusterexternalsecrets.external-secrets.io all
drop -n web externalsecrets.external-secrets.io all
adopt web shared shared
`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			resources, err := Read("given", []byte(store+test.resource))
			if err != nil {
				t.Fatal(err)
			}
			script := Convert(resources, usual(t)).Handover()
			if !strings.Contains(script, "\n"+test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.TrimPrefix(script, handoverHead), test.want)
			}
		})
	}
}
