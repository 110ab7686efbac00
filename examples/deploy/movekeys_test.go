package deploy

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The pod that moves keys is the release's own, as an API server takes it at the restricted level and with the rights that the
// chart gives, but for what it runs and how long.
func TestThePodThatMovesKeysIsThatOfTheRelease(t *testing.T) {
	values := `
image: {repository: registry.example.com/platform/secretsync}
replicaCount: 0
keys: {store: kubernetes}
`
	objects := objectsOf(t, mustRender(t, "secretsync", values))
	want := podOf(t, find(t, objects, "StatefulSet", "secretsync")).Object["spec"].(map[string]any)
	content, err := os.ReadFile("move-keys.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := parse(t, string(content))[0].Object["spec"].(map[string]any)
	if got["restartPolicy"] != "Never" {
		t.Error("it would move them again and again")
	}
	for _, field := range []string{"restartPolicy", "terminationGracePeriodSeconds", "topologySpreadConstraints"} {
		delete(got, field)
		delete(want, field)
	}
	for _, field := range []string{"args", "env", "ports", "startupProbe", "livenessProbe", "readinessProbe", "resources", "imagePullPolicy"} {
		for _, spec := range []map[string]any{got, want} {
			delete(spec["containers"].([]any)[0].(map[string]any), field)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the release's (-) and this one (+):\n%s", diff)
	}
}
