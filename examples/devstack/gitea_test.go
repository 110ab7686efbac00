package devstack

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The forge is whole: a branch is protected, a pull request brings what may not be pushed, and it is merged.
func TestAGiteaIsAForge(t *testing.T) {
	g := SharedGitea(t)
	dana, err := g.NewPerson(t.Context(), "dana")
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path string, in, out any) {
		t.Helper()
		if err := dana.Call(t.Context(), method, path, in, out); err != nil {
			t.Fatal(err)
		}
	}
	call(http.MethodPost, "/orgs", map[string]any{"username": "forged"}, nil)
	call(http.MethodPost, "/orgs/forged/repos", map[string]any{"name": "secrets", "private": true, "auto_init": true, "default_branch": "main"}, nil)
	call(http.MethodPost, "/repos/forged/secrets/branch_protections", map[string]any{"rule_name": "main", "enable_push": false}, nil)

	clone := filepath.Join(t.TempDir(), "clone")
	git := func(wantFailure string, args ...string) {
		t.Helper()
		command := exec.Command("git", args...)
		if _, err := os.Stat(clone); err == nil {
			command.Dir = clone
		}
		command.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Dana", "GIT_AUTHOR_EMAIL=dana@example.org", "GIT_COMMITTER_NAME=Dana", "GIT_COMMITTER_EMAIL=dana@example.org", "GIT_TERMINAL_PROMPT=0")
		output, err := command.CombinedOutput()
		if wantFailure == "" && err != nil || wantFailure != "" && !strings.Contains(string(output), wantFailure) {
			t.Fatalf("git %v: %v\n%s", args, err, output)
		}
	}
	git("", "clone", "-q", dana.CloneURL("forged/secrets"), clone)
	git("", "commit", "-q", "--allow-empty", "-m", "Change")
	git("protected branch", "push", "origin", "HEAD:main")
	git("", "push", "-q", "origin", "HEAD:change")

	var pull struct{ Number int }
	call(http.MethodPost, "/repos/forged/secrets/pulls", map[string]any{"title": "Change", "head": "change", "base": "main"}, &pull)
	if pull.Number != 1 {
		t.Errorf("the first pull request has number %d", pull.Number)
	}
	err = dana.Call(t.Context(), http.MethodGet, "/repos/forged/nothing", nil, nil)
	if refused, ok := errors.AsType[*APIError](err); !ok || refused.Status != http.StatusNotFound {
		t.Errorf("what is not there: %v", err)
	}
}
