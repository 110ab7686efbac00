package migrate

import (
	"strings"
	"testing"
)

// Of a shared Secret the definition takes its keys over, by the same annotation: the
// others stay with who has them.
func TestASharedSecretIsHandedOverLikeAnyOther(t *testing.T) {
	const store = "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {name: vault}\nspec: {provider: {vault: {server: 'https://vault', path: secret}}}\n---\n"
	const content = "secretStoreRef: {name: vault, kind: ClusterSecretStore}, target: {name: shared, creationPolicy: Merge}, data: [{secretKey: a, remoteRef: {key: acme/db, property: a}}]"
	for sentence, resource := range map[string]string{
		"one":                                "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: one, namespace: web}\nspec: {" + content + "}\n",
		"one in each namespace that matches": "apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: {name: all}\nspec: {namespaceSelectors: [{matchLabels: {team: shop}}], externalSecretSpec: {" + content + "}}\nstatus: {provisionedNamespaces: [web]}\n",
	} {
		t.Run(sentence, func(t *testing.T) {
			resources, err := Read("given", []byte(store+resource))
			if err != nil {
				t.Fatal(err)
			}
			plan := Convert(resources, usual(t))
			script := plan.Handover()
			if len(plan.Definitions) != 1 || !plan.Definitions[0].Definition.Shape.Merges() {
				t.Fatalf("%+v", plan.Definitions)
			}
			for _, line := range []string{"\nlet_go web shared\n", "\nshare web shared " + plan.Definitions[0].Definition.Name.String() + "\n"} {
				if !strings.Contains(script, line) {
					t.Errorf("no line %q in\n%s", line, strings.TrimPrefix(script, handoverHead))
				}
			}
		})
	}
}
