package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apps "k8s.io/api/apps/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// What is made at one pod and at several. Pods that don't share the work are never two at a time; of those that do none goes
// before another has come.
var scales = []struct {
	name, values string
	kind         string
	pods         int64
	strategy     map[string]any // nil: that of a StatefulSet
	shared       bool           // the work
}{
	{"one pod with a volume", valueSets["one pod with a volume"], "StatefulSet", 1, nil, false},
	{"one pod without a volume", valueSets["one pod without a volume"], "Deployment", 1, map[string]any{"type": "Recreate"}, false},
	{"three pods", valueSets["three pods"], "Deployment", 3, rolling, true},
	{"one of several pods is left", strings.Replace(valueSets["three pods"], "replicaCount: 3", "replicaCount: 1", 1), "Deployment", 1, rolling, true},
	{"none of several pods is left", strings.Replace(valueSets["three pods"], "replicaCount: 3", "replicaCount: 0", 1), "Deployment", 0, rolling, true},
}

var rolling = map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxUnavailable": int64(0), "maxSurge": int64(1)}}

func TestWhatIsMadeFitsTheNumberOfPods(t *testing.T) {
	for _, c := range scales {
		t.Run(c.name, func(t *testing.T) {
			objects := objectsOf(t, mustRender(t, "secretsync", c.values))
			workload := plain(t, find(t, objects, c.kind, "secretsync"))["spec"].(map[string]any)
			if got := number(workload["replicas"]); got != c.pods {
				t.Errorf("%d pods; want %d", got, c.pods)
			}
			strategy, _ := workload["strategy"].(map[string]any)
			if diff := cmp.Diff(numbers(c.strategy), numbers(strategy)); diff != "" {
				t.Errorf("the strategy (-want, +got):\n%s", diff)
			}

			// A drain of a node evicts a pod as long as one may be missing, however many there are.
			budget := find(t, objects, "PodDisruptionBudget", "secretsync").Object["spec"].(map[string]any)
			if budget["minAvailable"] != nil || number(budget["maxUnavailable"]) < 1 {
				t.Errorf("a node can't be drained: %v", budget)
			}

			// What several pods need is there for all of it, or for none.
			var config map[string]any
			text, _, _ := unstructured.NestedString(find(t, objects, "ConfigMap", "secretsync-config").Object, "data", "secretsync.yaml")
			if err := yaml.Unmarshal([]byte(text), &config); err != nil {
				t.Fatal(err)
			}
			pod, err := yaml.Marshal(workload["template"])
			if err != nil {
				t.Fatal(err)
			}
			policy := asYAML(t, find(t, objects, "NetworkPolicy", "secretsync"))
			leases := false
			for _, o := range objects {
				leases = leases || o.GetKind() == "Role" && strings.Contains(asYAML(t, o), "leases")
			}
			for what, there := range map[string]bool{
				"a section replicas of the configuration":   config["replicas"] != nil,
				"a port of the pod":                         strings.Contains(string(pod), "containerPort: 8444"),
				"certificates in the pod":                   strings.Contains(string(pod), "mountPath: /etc/secretsync/replicas"),
				"a way through the network policy":          strings.Contains(policy, "8444") && strings.Contains(policy, "port: replicas"),
				"the right to Leases":                       leases,
				"keys that all have and a place for Leases": c.shared && config["keys"] != nil && config["home"] != nil,
			} {
				if there != c.shared {
					t.Errorf("%s: %v; want %v", what, there, c.shared)
				}
			}
		})
	}
}

// number is what YAML and JSON make of a whole number.
func number(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return -1
}

// numbers has each whole number of a map be of one type.
func numbers(m map[string]any) map[string]any {
	for name, v := range m {
		if inner, ok := v.(map[string]any); ok {
			m[name] = numbers(inner)
		} else if n := number(v); n >= 0 {
			m[name] = n
		}
	}
	return m
}

// A release goes from one pod to three and back, in the ways that people apply it: the API server takes each step, and nothing of
// the one before is left.
func TestAReleaseGoesFromOnePodToThreeAndBack(t *testing.T) {
	c := startCluster(t)
	var steps []int
	for i, s := range scales {
		if s.kind == "Deployment" {
			steps = append(steps, i)
		}
	}
	steps = append(steps, steps[0], steps[1], steps[0]) // one, three, one that shares, none, one, three, one
	check := func(in string, step int) {
		t.Helper()
		want := scales[step]
		live, err := c.real.Admin.AppsV1().Deployments(in).Get(t.Context(), "secretsync", meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if int64(*live.Spec.Replicas) != want.pods || live.Spec.Strategy.Type != apps.DeploymentStrategyType(want.strategy["type"].(string)) ||
			(live.Spec.Strategy.RollingUpdate != nil) != want.shared || (len(live.Spec.Template.Spec.Containers[0].Ports) == 3) != want.shared {
			t.Errorf("%s: %d pods by %+v, with the ports %v", want.name, *live.Spec.Replicas, live.Spec.Strategy, live.Spec.Template.Spec.Containers[0].Ports)
		}
	}
	t.Run("applied by the server", func(t *testing.T) { // kubectl apply --server-side, Flux, Argo CD
		c.must(c.real.CreateNamespace(t.Context(), namespace))
		for _, step := range steps {
			for _, o := range objectsOf(t, mustRender(t, "secretsync", scales[step].values)) {
				if err := c.apply(o); err != nil {
					t.Errorf("%s: %s: %v", scales[step].name, keyOf(o), err)
				}
			}
			check(namespace, step)
		}
	})
	folder := t.TempDir()
	self, err := os.Executable()
	c.must(err)
	c.must(os.Symlink(self, filepath.Join(folder, "helm")))
	run := func(t *testing.T, program string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+c.real.AdminKubeconfig, "HOME="+folder)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s %q: %v\n%s", filepath.Base(program), args, err, out.String())
		}
	}
	for name, options := range map[string][]string{"by-helm": nil, "by-helm-3": {"--server-side=false"}} {
		t.Run("upgraded "+name, func(t *testing.T) {
			c.must(c.real.CreateNamespace(t.Context(), name))
			for i, step := range steps {
				file := filepath.Join(folder, "values.yaml")
				c.must(os.WriteFile(file, []byte(scales[step].values), 0o600))
				verb := []string{"upgrade", "secretsync", "chart", "--namespace", name, "--values", file}
				if verb = append(verb, options...); i == 0 {
					verb[0] = "install"
				}
				run(t, filepath.Join(folder, "helm"), verb...)
				check(name, step)
			}
		})
	}
	t.Run("applied by the client", func(t *testing.T) { // kubectl apply
		if _, err := exec.LookPath("kubectl"); err != nil {
			t.Skip("there is no kubectl")
		}
		const in = "by-kubectl"
		c.must(c.real.CreateNamespace(t.Context(), in))
		for _, step := range steps {
			file := filepath.Join(folder, "objects.yaml")
			var all strings.Builder
			for _, o := range objectsOf(t, mustRenderIn(t, "secretsync", in, scales[step].values)) {
				all.WriteString("---\n" + asYAML(t, o))
			}
			c.must(os.WriteFile(file, []byte(all.String()), 0o600))
			run(t, "kubectl", "apply", "--filename", file)
			check(in, step)
		}
	})
}
