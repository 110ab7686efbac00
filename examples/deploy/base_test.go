package deploy

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// A part of the Kustomize folder that the chart renders: from which values, and which files of that.
type part struct {
	values string
	files  []string
}

var parts = map[string]part{
	"kustomize": {
		valueSets["one pod with a volume"],
		[]string{"serviceaccount.yaml", "statefulset.yaml", "service.yaml", "poddisruptionbudget.yaml", "networkpolicy.yaml"},
	},
	"kustomize/replicas": {
		valueSets["three pods"],
		[]string{"serviceaccount.yaml", "deployment.yaml", "service.yaml", "poddisruptionbudget.yaml", "networkpolicy.yaml", "role-home.yaml"},
	},
	"kustomize/monitoring": {
		`monitoring: {serviceMonitor: {enabled: true}, rules: {enabled: true}, dashboard: {enabled: true}}`,
		[]string{"servicemonitor.yaml", "prometheusrule.yaml", "dashboard.yaml"},
	},
	"kustomize/targets/cluster-wide": {
		`target: {clusterWide: true}`,
		[]string{"serviceaccount.yaml", "role-target.yaml"},
	},
	"kustomize/targets/by-namespace": {
		`target: {namespaces: [payments]}`,
		[]string{"serviceaccount.yaml", "role-target.yaml"},
	},
}

// The files of the base are rendered from the chart; UPDATE=1 writes them.
func TestTheBaseIsWhatTheChartRenders(t *testing.T) {
	for _, folder := range slices.Sorted(maps.Keys(parts)) {
		p := parts[folder]
		rendered := mustRender(t, "secretsync", p.values)
		for _, name := range p.files {
			want, at := withoutHelm(rendered[name]), filepath.Join(folder, name)
			if os.Getenv("UPDATE") != "" {
				if err := os.MkdirAll(folder, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(at); string(got) != want {
				t.Errorf("%s is not what the chart renders (%v); run: UPDATE=1 go test -run %s", at, err, t.Name())
			}
		}
	}
}

var ofHelm = regexp.MustCompile(`(?m)^ *(app\.kubernetes\.io/(version|managed-by)|helm\.sh/chart): .*\n`)

// withoutHelm takes out what only Helm's own bookkeeping reads.
func withoutHelm(rendered string) string {
	return strings.TrimSpace(ofHelm.ReplaceAllString(rendered, "")) + "\n"
}

// build is what kubectl apply -k would apply.
func build(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	content, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return objectsOf(t, map[string]string{"all.yaml": string(content)})
}

// What Kustomize builds of each folder is what Helm would install with the same values, but for the names of configurations,
// which are the user's, and the namespace, which Helm makes itself.
func TestChartAndBaseAgree(t *testing.T) {
	for folder, p := range parts {
		t.Run(folder, func(t *testing.T) {
			want := map[string]map[string]any{}
			for _, o := range objectsOf(t, mustRender(t, "secretsync", p.values)) {
				want[keyOf(o)] = plain(t, o)
			}
			got := map[string]map[string]any{}
			for _, o := range build(t, folder) {
				if o.GetKind() != "Namespace" {
					got[keyOf(o)] = plain(t, o)
				}
			}
			if strings.HasPrefix(folder, "kustomize/") && folder != "kustomize/replicas" { // a part of what the chart makes
				maps.DeleteFunc(want, func(key string, _ map[string]any) bool { return got[key] == nil })
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the chart (-) and the base (+):\n%s", diff)
			}
		})
	}
}

// plain is an object without Helm's labels, and with its configuration parsed, in which comments don't count.
func plain(t *testing.T, o *unstructured.Unstructured) map[string]any {
	t.Helper()
	o = parse(t, withoutHelm(asYAML(t, o)))[0]
	if config, ok, _ := unstructured.NestedString(o.Object, "data", "secretsync.yaml"); ok {
		var parsed map[string]any
		if err := yaml.Unmarshal([]byte(config), &parsed); err != nil {
			t.Fatal(err)
		}
		o.Object["data"] = map[string]any{"secretsync.yaml": parsed}
	}
	return o.Object
}

func asYAML(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	content, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// No file of the folder is forgotten by what builds it.
func TestEachFileOfTheBaseIsUsed(t *testing.T) {
	err := filepath.WalkDir("kustomize", func(at string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "kustomization.yaml" {
			return err
		}
		content, err := os.ReadFile(filepath.Join(path.Dir(at), "kustomization.yaml"))
		if err == nil && !strings.Contains(string(content), entry.Name()) {
			t.Errorf("%s is in no kustomization", at)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
