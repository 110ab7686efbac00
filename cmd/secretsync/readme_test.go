package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// makeTargets are the README's blocks that run whole suites: the continuous
// integration runs them, and a test can't run itself.
var makeTargets = map[string]bool{"make demo": true, "make test": true}

// Every command of the README works as it stands there, in the order in which
// a reader comes to it; so do those of the page of more calls, after them.
func TestTheCommandsOfTheReadme(t *testing.T) {
	blocks := slices.Concat(commandsOf(t, "../../README.md"), commandsOf(t, "../../examples/api/README.md"))
	if len(blocks) < 10 {
		t.Fatalf("found %d blocks of commands", len(blocks))
	}
	w := readmeWorld(t)
	for _, script := range blocks {
		if makeTargets[script] {
			if out, err := exec.Command("make", "-C", "../..", "-n", strings.TrimPrefix(script, "make ")).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", script, err, out)
			}
			continue
		}
		output := w.shell(t, script)
		if strings.Contains(script, "curl") && !regexp.MustCompile(`^HTTP/1\.1 20\d|^\{`).MatchString(output) {
			t.Errorf("$ %s\n%s", script, output)
		}
		if strings.Contains(script, "wait=Active") && !strings.Contains(output, `"phase":"Active"`) {
			t.Errorf("waiting ended without the phase: %s", output)
		}
	}
	if err := w.awaitSecret("production", "backend", "db-password", func(s *corev1.Secret) bool {
		return string(s.Data["password"]) == "one"
	}); err != nil {
		t.Errorf("what the README pushes did not arrive: %v", err)
	}
}

// commandsOf returns the blocks of commands in a page.
func commandsOf(t *testing.T, path string) []string {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, strings.TrimSpace(block[1]))
	}
	return blocks
}

func TestTheLinksOfThePagesLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("../../examples/*/README.md")
	if err != nil || len(pages) < 4 {
		t.Fatalf("found %d pages: %v", len(pages), err)
	}
	for path, least := range map[string]int{"../../README.md": 5, pages[0]: 1} {
		if n := checkLinks(t, path); n < least {
			t.Errorf("found %d links in %s", n, path)
		}
	}
	for _, path := range pages[1:] {
		checkLinks(t, path)
	}
}

func checkLinks(t *testing.T, path string) int {
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(string(page), -1)
	for _, link := range links {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), link[1])); err != nil {
			t.Error(err)
		}
	}
	return len(links)
}

// readmeWorld holds what the demonstration shows: a definition db-password.
func readmeWorld(t *testing.T) *world {
	w := startWorld(t)
	for _, path := range []string{"production/db-password", "production/smtp"} {
		if err := w.put("acme/"+path, map[string]any{"password": "one"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.stack.Cluster("production").CreateNamespace(t.Context(), "backend"); err != nil {
		t.Fatal(err)
	}
	w.must(t, 201, "POST", "/tenants/acme/secrets", `{"name":"db-password","secretPath":"production/db-password","sync":[{"cluster":"production","namespace":"default"}]}`)
	return w
}

// shell runs commands in the world's folder; those that build run in the
// checkout, where a reader is at that point.
func (w *world) shell(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = w.dir
	if strings.Contains(script, "make ") {
		root, err := filepath.Abs("../..")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Dir = root
	}
	cmd.Env = append(os.Environ(), w.environment()...)
	out, err := cmd.CombinedOutput()
	if strings.Contains(script, "exit code 2:") && cmd.ProcessState.ExitCode() == 2 {
		err = nil
	}
	if err != nil {
		t.Errorf("$ %s\n%s%v", script, out, err)
	}
	return string(out)
}
