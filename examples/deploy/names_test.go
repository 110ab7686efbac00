package deploy

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const everyKind = `
replicas: {enabled: true, tlsSecret: secretsync-replicas}
keys: {store: kubernetes}
target: {clusterWide: true}
monitoring: {serviceMonitor: {enabled: true}, rules: {enabled: true}, dashboard: {enabled: true}}
`

// An API server takes everything of a release, whatever name Helm lets it have.
func TestAnyNameOfAReleaseCanBeInstalled(t *testing.T) {
	c := startCluster(t)
	c.must(c.real.CreateNamespace(t.Context(), namespace, "payments"))
	c.define()
	for name, release := range map[string]string{
		"the longest":       strings.Repeat("a", 53),
		"with dots":         "team.platform.secretsync",
		"cut before a dash": strings.Repeat("a", 49) + "-bcd",
		"cut behind a dash": strings.Repeat("a", 48) + "--bcd",
		"of one letter":     "s",
	} {
		t.Run(name, func(t *testing.T) {
			for _, values := range []string{everyKind, everyKind + "persistence: {enabled: false}", `target: {namespaces: [payments]}`} {
				objects := objectsOf(t, mustRender(t, release, values))
				for _, o := range objects {
					if err := c.apply(o); err != nil {
						t.Errorf("%s: %v", keyOf(o), err)
					}
				}
				c.clear(objects)
			}
		})
	}
	t.Run("but for one that no Service can have, which is told", func(t *testing.T) {
		if _, err := render(t, "1st", ""); err == nil || !strings.Contains(err.Error(), "the name of the release, 1st, does not begin with a letter") {
			t.Errorf("%v", err)
		}
		mustRender(t, "1st", "fullnameOverride: first")
	})
}

// Releases side by side share nothing but what Helm is to refuse: keys and Leases in one namespace, which
// each would take for its own.
func TestReleasesSideBySide(t *testing.T) {
	names := func(release, namespace string, values ...string) map[string]bool {
		keys := map[string]bool{}
		for _, v := range values {
			for _, o := range objectsOf(t, mustRenderIn(t, release, namespace, v)) {
				keys[keyOf(o)] = true
			}
		}
		return keys
	}
	both := func(a, b map[string]bool) []string {
		return slices.Sorted(maps.Keys(func() map[string]bool {
			a = maps.Clone(a)
			maps.DeleteFunc(a, func(key string, _ bool) bool { return !b[key] })
			return a
		}()))
	}
	byNamespace := `target: {namespaces: [payments]}`
	if shared := both(names("secretsync", "one", everyKind, byNamespace), names("secretsync", "two", everyKind, byNamespace)); len(shared) > 0 {
		t.Errorf("those of one name in two namespaces share %q", shared)
	}
	if shared := both(names("one", namespace, "", byNamespace), names("two", namespace, "", byNamespace)); len(shared) > 0 {
		t.Errorf("two in one namespace share %q", shared)
	}
	want := []string{"Role secretsync/secretsync-home", "RoleBinding secretsync/secretsync-home"}
	if shared := both(names("one", namespace, everyKind), names("two", namespace, everyKind)); !slices.Equal(shared, want) {
		t.Errorf("two that keep what is their own in one namespace share %q, want %q", shared, want)
	}
}

// A network policy lets through what the pods need: each port of theirs, and the replicas' both ways.
func TestTheNetworkPolicyKnowsThePorts(t *testing.T) {
	objects := objectsOf(t, mustRender(t, "secretsync", everyKind))
	policy := find(t, objects, "NetworkPolicy", "secretsync")
	egress, _, _ := unstructured.NestedSlice(policy.Object, "spec", "egress")
	last := egress[len(egress)-1].(map[string]any)
	if port := last["ports"].([]any)[0].(map[string]any)["port"]; port != float64(8444) && port != int64(8444) || last["to"] == nil {
		t.Errorf("the pods reach each other by %v", last)
	}
}
