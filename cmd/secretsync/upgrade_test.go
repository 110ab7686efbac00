package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/examples/devstack"
)

// oldVersion is the commit before copies could be more than their values, and before
// there were formats.
const oldVersion = "3f770b35cafeea19de12f435a03284eb95d5b339"

// buildOldVersion builds the server of that commit, or finds it built. It is made as
// the parts of the devstack are, with which it has most of its packages in common.
func buildOldVersion(t *testing.T, root string) string {
	t.Helper()
	if err := exec.Command("git", "-C", root, "cat-file", "-e", oldVersion+"^{commit}").Run(); err != nil {
		t.Skipf("the history of this checkout does not reach back to commit %s, from which the upgrade is made; git fetch --unshallow brings it", oldVersion)
	}
	built := filepath.Join(root, ".cache", "old-versions", oldVersion, "secretsync")
	if _, err := os.Stat(built); err == nil {
		return built
	}
	dir := t.TempDir()
	build := exec.Command("bash", "-euo", "pipefail", "-c",
		`git -C "$0" archive "$1" | tar x
mkdir -p "${2%/*}"
go build -trimpath -gcflags=all=-dwarf=false -ldflags '-s -w -X main.version=old' -o "$2.$$" ./cmd/secretsync
mv "$2.$$" "$2"`, root, oldVersion, built)
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the server of commit %s: %v\n%s", oldVersion, err, out)
	}
	return built
}

// What an old version left, on disk and in the clusters, a new one takes over without
// a write, and the old one again after it.
func TestAnUpgradeWritesNothingAndNorDoesTheWayBack(t *testing.T) {
	const definitions = 12
	old := buildOldVersion(t, devstack.Shared(t).Binaries.Root)
	w, namespace := recoveryWorld(t)
	w.program = old
	if err := w.serve(); err != nil {
		t.Fatal(err)
	}
	for i := range definitions {
		name := fmt.Sprintf("kept-%02d", i)
		if err := w.put("acme/"+name, map[string]any{"password": name, "port": i}); err != nil {
			t.Fatal(err)
		}
		w.must(t, 201, "POST", "/tenants/acme/secrets", fmt.Sprintf(`{"name":%q,"secretPath":%q,"sync":[{"cluster":"production","namespace":%q}]}`, name, name, namespace))
		w.must(t, 200, "PATCH", "/tenants/acme/secrets/"+name, fmt.Sprintf(
			`{"sync":[{"cluster":"production","namespace":%q},{"cluster":"staging","namespace":%q,"secretName":"other-%s"}]}`, namespace, namespace, name))
	}
	made := w.must(t, 201, "POST", "/tenants/acme/apikeys", `{"displayName":"Made by the old version","role":"readonly"}`)
	_, key, _ := strings.Cut(made, `"key":"`)
	w.keys["before"], _, _ = strings.Cut(key, `"`)
	w.awaitActive(t, definitions)
	head := w.shell(t, `git -C "$REPOSITORY" rev-parse HEAD`)
	w.terminate(t)

	w.program = ""
	if wrote := w.begin(t, definitions, namespace); len(wrote) != 0 {
		t.Errorf("the new version wrote %v", wrote)
	}
	if after := w.shell(t, `git -C "$REPOSITORY" rev-parse HEAD`); after != head {
		t.Errorf("HEAD was %s and is %s", head, after)
	}
	if answer, err := w.call("before", "GET", "/tenants/acme/secrets", "", ""); err != nil || answer.status != 200 {
		t.Errorf("a key of the old version's: %+v, %v", answer, err)
	}
	if content, err := os.ReadFile(datafolder.Format(filepath.Join(w.dir, "data"))); err != nil || string(content) != "1\n" {
		t.Errorf("the format of the data folder is %q, %v", content, err)
	}
	for _, cluster := range []string{"production", "staging"} {
		list, err := w.client(cluster).CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list.Items {
			if _, says := s.Annotations["secretsync.dev/format"]; says {
				t.Errorf("%s says which format it is of", s.Name)
			}
		}
	}

	// What only the new version knows is to the old one a file that is no definition.
	if err := w.put("acme/newer", map[string]any{"username": "ada", "password": "canary"}); err != nil {
		t.Fatal(err)
	}
	w.must(t, 201, "POST", "/tenants/acme/secrets", fmt.Sprintf(
		`{"name":"newer","secretPath":"newer","type":"kubernetes.io/basic-auth","deletionPolicy":"Delete","sync":[{"cluster":"production","namespace":%q}]}`, namespace))
	w.awaitActive(t, definitions+1)
	w.terminate(t)

	since := w.mark(t)
	w.program = old
	if err := w.serve(); err != nil {
		t.Fatal(err)
	}
	w.must(t, 200, "GET", "/tenants/acme/secrets/kept-00?wait=Active&timeout=30s", "")
	for i := range definitions {
		w.must(t, 200, "GET", fmt.Sprintf("/tenants/acme/secrets/kept-%02d?wait=Active&timeout=30s", i), "")
	}
	if told := w.must(t, 200, "GET", "/tenants/acme/secrets/newer", ""); !strings.Contains(told, "InvalidDefinition") {
		t.Errorf("of what it does not know the old version says %s", told)
	}
	w.terminate(t)
	w.program = ""
	if wrote := w.begin(t, definitions+1, namespace); len(wrote) != 0 {
		t.Errorf("after the way back and forth again it wrote %v", wrote)
	}
	if wrote := w.written(t, since, namespace); len(wrote) != 0 {
		t.Errorf("on the way back and forth again they wrote %v", wrote)
	}
}
