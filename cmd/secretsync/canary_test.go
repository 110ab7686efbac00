package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A secret value is found in the vault and in the Secrets it belongs to, and
// nowhere else; nor are the keys and tokens that open the way to it.
func TestACanaryIsFoundNowhereElse(t *testing.T) {
	w := startWorld(t, "audit: {file: audit.log}")
	ctx := t.Context()
	canary := "canary-" + strings.ToLower(rand.Text())
	production := w.stack.Cluster("production")
	if err := production.CreateNamespace(ctx, "canary"); err != nil {
		t.Fatal(err)
	}
	put := func(path string, data map[string]any) {
		t.Helper()
		if err := w.put("acme/"+path, data); err != nil {
			t.Fatal(err)
		}
	}
	// Values that arrive, and values that fail in each way there is: their
	// errors must not tell them.
	put("good", map[string]any{"password": canary, "nested": map[string]any{"deep": canary + "-deep"}})
	put("bad-key", map[string]any{"no key/" + canary: canary})
	put("too-large", map[string]any{"half": canary + strings.Repeat("x", 600<<10), "other": strings.Repeat("y", 600<<10)})
	put("foreign", map[string]any{"password": canary})
	if _, err := production.Admin.CoreV1().Secrets("canary").Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "foreign"}, StringData: map[string]string{"theirs": canary + "-theirs"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	var seen bytes.Buffer // every answer of the API
	for _, name := range []string{"good", "bad-key", "too-large", "foreign", "missing"} {
		body, _ := json.Marshal(map[string]any{"name": name, "secretPath": name,
			"sync": []map[string]string{{"cluster": "production", "namespace": "canary"}, {"cluster": "staging", "namespace": "canary"}}})
		seen.WriteString(w.must(t, 201, "POST", "/tenants/acme/secrets", string(body)))
		phase := "Failed"
		switch name {
		case "good":
			phase = "Active"
		case "foreign": // in staging nobody has the place
			phase = "Degraded"
		case "missing":
			phase = "Pending"
		}
		if name == "good" {
			if err := w.stack.Cluster("staging").CreateNamespace(ctx, "canary"); err != nil {
				t.Fatal(err)
			}
		}
		stands := w.must(t, 200, "GET", "/tenants/acme/secrets/"+name+"?wait="+phase+"&timeout=30s", "")
		if !strings.Contains(stands, `"phase":"`+phase+`"`) {
			t.Errorf("%s did not become %s: %s", name, phase, stands)
		}
		seen.WriteString(stands)
	}
	if !strings.Contains(seen.String(), "InvalidKey") || !strings.Contains(seen.String(), "ValueTooLarge") || !strings.Contains(seen.String(), "NotOwned") {
		t.Errorf("the failures did not come about: %s", seen.String())
	}
	seen.WriteString(w.must(t, 200, "GET", "/tenants/acme/secrets", ""))
	seen.WriteString(w.must(t, 200, "GET", "/tenants/acme/secrets/good/history", ""))
	if secret, err := production.Admin.CoreV1().Secrets("canary").Get(ctx, "good", metav1.GetOptions{}); err != nil {
		t.Error(err)
	} else if got := string(secret.Data["password"]); got != canary {
		t.Errorf("the canary did not arrive where it belongs; got %q", got)
	} else {
		annotations, _ := json.Marshal(secret.ObjectMeta)
		seen.Write(annotations)
	}

	metrics, err := metricsAt(w.url)
	if err != nil {
		t.Fatal(err)
	}
	seen.Write(metrics)
	for _, cluster := range w.stack.Clusters() {
		events, err := cluster.Admin.CoreV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		content, _ := json.Marshal(events)
		seen.Write(content)
	}
	if err := w.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}

	forbidden := map[string]string{
		"the value":                   canary,
		"the value in base64":         strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(canary)), "=")[:24],
		"the admin's key":             w.keys["admin"][strings.LastIndex(w.keys["admin"], "_")+1:],
		"the vault's token":           readFile(t, filepath.Join(w.dir, "vault-token")),
		"the key of the copies' hash": strings.TrimSpace(readFile(t, filepath.Join(w.dir, "data", "hash.key"))),
	}
	check := func(where string, content []byte) {
		for what, text := range forbidden {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s stands in %s", what, where)
			}
		}
	}
	check("an answer, metric, event or annotation", seen.Bytes())
	objects, err := exec.Command("git", "-C", w.repository("acme"), "cat-file", "--batch-all-objects", "--batch").Output()
	if err != nil {
		t.Fatal(err)
	}
	check("the repository", objects)
	files := 0
	err = filepath.WalkDir(w.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "vault-token" || entry.Name() == "hash.key" {
			return err
		}
		files++
		check(path, []byte(readFile(t, path)))
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%d files were searched, error %v", files, err)
	}
	// It was among the files; this is that it held what could have told.
	if told := readFile(t, filepath.Join(w.dir, "audit.log")); !strings.Contains(told, `"event":"value-read"`) || !strings.Contains(told, `"event":"definitions-written"`) {
		t.Errorf("the audit stream proves nothing: %s", told)
	}
	if log := readFile(t, filepath.Join(w.dir, "server.log")); !strings.Contains(log, "level=DEBUG") {
		t.Error("the log was not at debug level, so that it proves nothing")
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
