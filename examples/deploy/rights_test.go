package deploy

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// All tests of secretsync run with the rights of examples/rbac.yaml, both ways that it tells. What the chart and the base give in a
// cluster that copies go to is just that.
func TestTheRightsAreThoseThatTheTestsRunWith(t *testing.T) {
	content, err := os.ReadFile("../rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var whole, byNamespace strings.Builder
	for line := range strings.Lines(string(content)) {
		if commented, ok := strings.CutPrefix(line, "#|"); ok {
			byNamespace.WriteString(strings.TrimPrefix(commented, " "))
		} else {
			whole.WriteString(line)
		}
	}
	for folder, c := range map[string]struct{ tested, kind, name string }{
		"kustomize/targets/cluster-wide": {whole.String(), "ClusterRole", "secretsync"},
		"kustomize/targets/by-namespace": {byNamespace.String(), "Role", "secretsync"},
	} {
		tested, built := parse(t, c.tested), build(t, folder)
		if diff := cmp.Diff(rulesOf(t, find(t, tested, c.kind, c.name)), rulesOf(t, find(t, built, c.kind, c.name))); diff != "" {
			t.Errorf("%s: the rights of the tests (-) and of the base (+):\n%s", folder, diff)
		}
	}
	identity := "secretsync-identity"
	if diff := cmp.Diff(rulesOf(t, find(t, parse(t, byNamespace.String()), "ClusterRole", identity)), rulesOf(t, find(t, build(t, "kustomize/targets/by-namespace"), "ClusterRole", identity))); diff != "" {
		t.Error(diff)
	}
}

// rulesOf are the rules of a role, in an order of their own.
func rulesOf(t *testing.T, role *unstructured.Unstructured) []string {
	t.Helper()
	rules, ok, err := unstructured.NestedSlice(role.Object, "rules")
	if !ok || err != nil {
		t.Fatalf("%s has no rules: %v", keyOf(role), err)
	}
	var all []string
	for _, rule := range rules {
		text, err := yaml.Marshal(rule)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	slices.Sort(all)
	return all
}

// Probes, services and monitors name ports; they are those on which the configuration has the server listen.
func TestThePortsAreThoseOfTheConfiguration(t *testing.T) {
	for name, values := range valueSets {
		if strings.Contains(values, "existingConfigMap") {
			continue
		}
		objects := objectsOf(t, mustRender(t, "secretsync", values))
		var config struct {
			Listen, MetricsListen string
			Replicas              struct{ Listen string }
		}
		var container map[string]any
		for _, o := range objects {
			if text, ok, _ := unstructured.NestedString(o.Object, "data", "secretsync.yaml"); ok {
				if err := yaml.Unmarshal([]byte(text), &config); err != nil {
					t.Fatal(err)
				}
			}
			if o.GetKind() == "Deployment" || o.GetKind() == "StatefulSet" {
				containers, _, _ := unstructured.NestedSlice(podOf(t, o).Object, "spec", "containers")
				container = containers[0].(map[string]any)
			}
		}
		ports := map[string]string{}
		for _, port := range container["ports"].([]any) {
			p, err := yaml.Marshal(port.(map[string]any)["containerPort"])
			if err != nil {
				t.Fatal(err)
			}
			ports[port.(map[string]any)["name"].(string)] = ":" + strings.TrimSpace(string(p))
		}
		want := map[string]string{"api": config.Listen, "metrics": config.MetricsListen}
		if config.Replicas.Listen != "" {
			want["replicas"] = config.Replicas.Listen
		}
		if diff := cmp.Diff(want, ports); diff != "" {
			t.Errorf("%s: the configuration (-) and the container (+):\n%s", name, diff)
		}
	}
}
