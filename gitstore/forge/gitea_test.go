package forge_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/examples/devstack"
	"secretsync/gitstore/forge"
)

// What the recorded conversations say of Gitea is what a Gitea says.
func TestARealForge(t *testing.T) {
	g := devstack.SharedGitea(t)
	dana, err := g.NewPerson(t.Context(), "forger")
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path string, in, out any) {
		t.Helper()
		if err := dana.Call(t.Context(), method, path, in, out); err != nil {
			t.Fatal(err)
		}
	}
	call(http.MethodPost, "/user/repos", map[string]any{"name": "secrets", "private": true, "auto_init": true, "default_branch": "main"}, nil)
	var made struct{ Commit struct{ SHA string } }
	call(http.MethodPost, "/repos/forger/secrets/contents/secrets/db.yaml", map[string]any{
		"content": base64.StdEncoding.EncodeToString([]byte("name: db\n")), "message": "Add db", "new_branch": "change",
	}, &made)

	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(dana.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := forge.New(forge.Config{Kind: forge.Gitea, Repository: g.URL + "/forger/secrets.git", Credentials: forge.TokenFile(token)})
	if err != nil {
		t.Fatal(err)
	}

	// A proposal made twice is one.
	pull, err := c.Propose(t.Context(), forge.Proposal{Title: "Add db", Body: "Please.", Branch: "change", Base: "main"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Propose(t.Context(), forge.Proposal{Title: "Add the database", Branch: "change", Base: "main"})
	if err != nil || again.Number != pull.Number {
		t.Errorf("proposed once more it is %d, not %d: %v", again.Number, pull.Number, err)
	}
	if pull.Head.Commit != made.Commit.SHA || pull.Base != "main" || pull.State != forge.Open || pull.Fork || pull.FetchRef != "refs/pull/1/head" || !strings.HasPrefix(pull.URL, g.URL) {
		t.Errorf("the pull request is %+v", pull)
	}
	if open, err := c.OpenPulls(t.Context()); err != nil || len(open) != 1 || open[0].Number != pull.Number {
		t.Errorf("open are %+v: %v", open, err)
	}

	// A status is that of its head, and a comment is one.
	for _, state := range []forge.State{forge.Pending, forge.Failure, forge.Success} {
		if err := c.SetPullStatus(t.Context(), pull, forge.Status{State: state, Context: "secretsync/plan", Description: "1 to create", URL: "https://secretsync.example.org/x"}); err != nil {
			t.Fatal(err)
		}
	}
	var status struct {
		State    string
		Statuses []struct{ Context, Status, Description, TargetURL string }
	}
	call(http.MethodGet, "/repos/forger/secrets/commits/"+made.Commit.SHA+"/status", nil, &status)
	if status.State != "success" || len(status.Statuses) != 1 || status.Statuses[0].Context != "secretsync/plan" {
		t.Errorf("its head has the status %+v", status)
	}
	for _, text := range []string{"The first plan.", "The second plan."} {
		if err := c.Comment(t.Context(), pull.Number, "secretsync/plan", text); err != nil {
			t.Fatal(err)
		}
	}
	var comments []struct{ Body string }
	call(http.MethodGet, "/repos/forger/secrets/issues/1/comments", nil, &comments)
	if len(comments) != 1 || !strings.Contains(comments[0].Body, "The second plan.") {
		t.Errorf("the comments are %+v", comments)
	}

	// Closed, and merged.
	if err := c.Close(t.Context(), pull.Number); err != nil {
		t.Fatal(err)
	}
	if closed, err := c.Pull(t.Context(), pull.Number); err != nil || closed.State != forge.Closed || closed.Merged != "" {
		t.Errorf("closed it is %+v: %v", closed, err)
	}
	second, err := c.Propose(t.Context(), forge.Proposal{Title: "Add db", Branch: "change", Base: "main"})
	if err != nil || second.Number == pull.Number {
		t.Fatalf("proposed after it was closed it is %d: %v", second.Number, err)
	}
	call(http.MethodPost, "/repos/forger/secrets/pulls/2/merge", map[string]any{"Do": "merge"}, nil)
	if merged, err := c.Pull(t.Context(), second.Number); err != nil || merged.State != forge.Merged || merged.Merged == "" {
		t.Errorf("merged it is %+v: %v", merged, err)
	}
	if err := os.WriteFile(token, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pull(t.Context(), 1); !errors.Is(err, forge.ErrDenied) && !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("with a wrong token: %v", err)
	}
}
