package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// propose answers what opens and finds pull requests by their number, as Gitea does.
func (b *pullBoard) propose(r *http.Request) (done bool, status int, told any) {
	_, rest, _ := strings.Cut(r.URL.Path, "/pulls")
	if b.remote == "" || !strings.Contains(r.URL.Path, "/pulls") {
		return false, 0, nil
	}
	number, err := strconv.Atoi(strings.Trim(rest, "/"))
	switch {
	case r.Method == http.MethodGet && err == nil:
		for _, p := range b.pulls {
			if p["number"] == number {
				return true, http.StatusOK, p
			}
		}
		return true, http.StatusNotFound, nil
	case r.Method == http.MethodGet:
		open := []map[string]any{}
		for _, p := range b.pulls {
			if p["state"] == "open" {
				open = append(open, p)
			}
		}
		return true, http.StatusOK, open
	case r.Method != http.MethodPost:
		return false, 0, nil
	}
	var asked struct{ Title, Head, Base string }
	_ = json.NewDecoder(r.Body).Decode(&asked)
	commit, err := exec.CommandContext(r.Context(), "git", "--git-dir", b.remote, "rev-parse", "--verify", "refs/heads/"+asked.Head).Output()
	if err != nil {
		return true, http.StatusNotFound, map[string]string{"message": "there is no such branch"}
	}
	repository := map[string]string{"full_name": "acme/secrets"}
	made := map[string]any{
		"number": len(b.pulls) + 1, "title": asked.Title, "state": "open", "html_url": fmt.Sprintf("https://forge.example.org/acme/secrets/pulls/%d", len(b.pulls)+1),
		"head": map[string]any{"ref": asked.Head, "sha": strings.TrimSpace(string(commit)), "repo": repository},
		"base": map[string]any{"ref": asked.Base, "repo": repository},
	}
	b.pulls = append(b.pulls, made)
	return true, http.StatusCreated, made
}

// mergePull has the branch be where a pull request wants it, and the forge say so.
func mergePull(ts *testscript.TestScript, _ bool, args []string) {
	b := boardOf(ts)
	number, err := strconv.Atoi(args[0])
	ts.Check(err)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pulls {
		if p["number"] == number {
			commit := p["head"].(map[string]any)["sha"].(string)
			ts.Check(ts.Exec("git", "--git-dir", b.remote, "update-ref", "refs/heads/main", commit))
			p["state"], p["merged_at"], p["merge_commit_sha"] = "closed", "2030-01-02T03:04:05Z", commit
			return
		}
	}
	ts.Fatalf("there is no pull request %d", number)
}
