package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"secretsync/examples/devstack"
	"secretsync/httpapi/client"
)

// onForge is the story of a team whose repository moves to a forge, told if there is to be one.
func (d *demo) onForge() []step {
	return []step{
		{"A forge comes up: Gitea", d.openForge},
		{"Acme's repository moves there; the server goes on without a restart", d.moveToForge},
		{"A pull request: the server says what it would do", d.openPull},
		{"It is merged, and live", d.mergePull},
	}
}

const (
	forgeRepository = "acme/secrets"
	branch          = "reports"
	status          = "secretsync/plan"
)

// team are the forge and who has accounts there.
type team struct {
	*devstack.Gitea
	dana, server *devstack.Person
}

func (d *demo) openForge(ctx context.Context) error {
	gitea, err := d.stack.StartGitea(ctx)
	if err != nil {
		return err
	}
	d.forge = &team{Gitea: gitea}
	if d.forge.dana, err = gitea.NewPerson(ctx, "dana"); err != nil {
		return err
	}
	if d.forge.server, err = gitea.NewPerson(ctx, "secretsync"); err != nil {
		return err
	}
	if err := d.onForgeAsDana(ctx,
		request{"/orgs", map[string]any{"username": "acme"}},
		request{"/orgs/acme/repos", map[string]any{"name": "secrets", "private": true, "default_branch": "main"}},
	); err != nil {
		return err
	}
	// The server needs no more than to write. The branch will be protected from it as from everybody.
	if err := d.forge.dana.Call(ctx, http.MethodPut, "/repos/"+forgeRepository+"/collaborators/secretsync", map[string]any{"permission": "write"}, nil); err != nil {
		return err
	}
	fmt.Printf("%s: the organisation acme with the repository secrets; accounts dana, and secretsync for the server\n", gitea.URL)
	return nil
}

type request struct {
	path string
	body map[string]any
}

// onForgeAsDana makes something for each request.
func (d *demo) onForgeAsDana(ctx context.Context, requests ...request) error {
	for _, r := range requests {
		if err := d.forge.dana.Call(ctx, http.MethodPost, r.path, r.body, nil); err != nil {
			return err
		}
	}
	return nil
}

// moveToForge pushes what there is to the forge, and tells the server.
func (d *demo) moveToForge(ctx context.Context) error {
	for _, args := range [][]string{
		{"pull", "--quiet", "--rebase"},
		{"remote", "set-url", "origin", d.forge.dana.CloneURL(forgeRepository)},
		{"push", "--quiet", "origin", "HEAD:main"},
	} {
		if err := d.git(ctx, d.clone(), args...); err != nil {
			return err
		}
	}
	// The forge takes note of a push a moment later; till then it has no pull requests of a repository that was empty.
	err := await(ctx, func(ctx context.Context) (bool, error) {
		var repository struct{ Empty bool }
		err := d.forge.dana.Call(ctx, http.MethodGet, "/repos/"+forgeRepository, nil, &repository)
		return !repository.Empty, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the forge to take note of the push: %w", err)
	}
	secret := rand.Text()
	err = d.onForgeAsDana(ctx,
		request{"/repos/" + forgeRepository + "/branch_protections", map[string]any{
			"rule_name": "main", "enable_push": false, "enable_status_check": true, "status_check_contexts": []string{status}}},
		request{"/repos/" + forgeRepository + "/hooks", map[string]any{
			"type": "gitea", "active": true, "events": []string{"push", "pull_request", "pull_request_sync"},
			"config": map[string]string{"url": d.url + "/hooks/git/" + tenant, "content_type": "json", "secret": secret}}},
	)
	if err != nil {
		return err
	}
	fmt.Printf("main is protected: changes come by pull requests, with the status %s\n", status)
	url := d.forge.URL + "/" + forgeRepository + ".git"
	repository := fmt.Sprintf(`    repository:
      url: %s
      passwordFile: forge.token
      receipts: true
      forge: {kind: gitea, tokenFile: forge.token, statuses: true, checks: true}
      webhook: {secretFile: forge.hook}
`, url)
	path := filepath.Join(d.dir, "secretsync.yaml")
	config, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s, at tenant %s:\n%s\n", path, tenant, repository)
	config = bytes.Replace(config, []byte("    displayName: Acme Inc.\n"), []byte("    displayName: Acme Inc.\n"+repository), 1)
	for name, content := range map[string][]byte{"forge.token": []byte(d.forge.server.Token), "forge.hook": []byte(secret)} {
		if err := os.WriteFile(filepath.Join(d.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return err
	}
	err = await(ctx, func(ctx context.Context) (bool, error) {
		of, err := d.client().GetTenant(ctx)
		if err != nil {
			return false, err
		}
		return of.Repository != nil && of.Repository.URL == url && !of.Repository.FetchedAt.IsZero(), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the server to follow the forge: %w", err)
	}
	fmt.Println("the server follows it")
	return nil
}

// openPull proposes another target and shows what the server says of it.
func (d *demo) openPull(ctx context.Context) error {
	file := filepath.Join(d.clone(), "secrets", definition+".yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	content = append(content, "  - cluster: staging\n    namespace: default\n    secretName: reports-database\n"...)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"switch", "--quiet", "--create", branch},
		{"commit", "--quiet", "--all", "--message", "Let the reports have the database password"},
		{"push", "--quiet", "origin", branch},
	} {
		if err := d.git(ctx, d.clone(), args...); err != nil {
			return err
		}
	}
	if err := d.onForgeAsDana(ctx, request{"/repos/" + forgeRepository + "/pulls", map[string]any{
		"title": "Let the reports have the database password", "head": branch, "base": "main"}}); err != nil {
		return err
	}
	fmt.Printf("\n%s/%s/pulls/1\n", d.forge.URL, forgeRepository)
	var comments []struct{ Body string }
	err = await(ctx, func(ctx context.Context) (bool, error) {
		err := d.forge.dana.Call(ctx, http.MethodGet, "/repos/"+forgeRepository+"/issues/1/comments", nil, &comments)
		return len(comments) > 0, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the comment on the pull request: %w", err)
	}
	fmt.Printf("its comment:\n%s\n", indent(comments[0].Body))
	if !strings.Contains(comments[0].Body, "1 to create") {
		return fmt.Errorf("the comment does not say that there is 1 to create")
	}
	return nil
}

// mergePull merges as soon as the forge lets it.
func (d *demo) mergePull(ctx context.Context) error {
	at := copyAt{"staging", "default", "reports-database"}
	err := await(ctx, func(ctx context.Context) (bool, error) {
		var pull struct {
			Mergeable bool
			Head      struct{ SHA string }
		}
		if err := d.forge.dana.Call(ctx, http.MethodGet, "/repos/"+forgeRepository+"/pulls/1", nil, &pull); err != nil {
			return false, err
		}
		var shown struct {
			Statuses []struct{ Context, Status, Description string }
		}
		err := d.forge.dana.Call(ctx, http.MethodGet, "/repos/"+forgeRepository+"/commits/"+pull.Head.SHA+"/status", nil, &shown)
		for _, s := range shown.Statuses {
			if s.Context == status && s.Status == "success" && pull.Mergeable {
				fmt.Printf("%s: %s: %s\n", s.Context, s.Status, s.Description)
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the status of the pull request: %w", err)
	}
	fmt.Printf("\n> POST /api/v1/repos/%s/pulls/1/merge\n", forgeRepository)
	merged := time.Now()
	err = await(ctx, func(ctx context.Context) (bool, error) {
		err := d.forge.dana.Call(ctx, http.MethodPost, "/repos/"+forgeRepository+"/pulls/1/merge", map[string]any{"Do": "merge"}, nil)
		// It looks anew after each push whether it can merge, and answers that till it has.
		if refused, ok := errors.AsType[*devstack.APIError](err); ok && strings.Contains(refused.Body, "Please try again later") {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("merging the pull request: %w", err)
	}
	if err := d.awaitCopies(ctx, d.passwords[1], at); err != nil {
		return err
	}
	fmt.Printf("%s is there %s after Dana pressed the button\n", at, time.Since(merged).Round(time.Millisecond))
	err = await(ctx, func(ctx context.Context) (bool, error) {
		stands, err := d.client().GetSecret(ctx, definition, client.WaitOptions{})
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(stands.Status.SyncStatuses, func(s client.SyncStatus) bool { return s.SecretName == "reports-database" && s.State == "Synced" }), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the status of %s: %w", at, err)
	}
	return nil
}

// printForge prints what to try with the forge.
func (d *demo) printForge() {
	fmt.Printf(`The forge: %s/%s as %s, password %s

  git clone %s acme-on-the-forge

  main is protected. Edit a file under secrets on a branch of your own, push it and open a pull request: within seconds it
  has a status and a comment with the plan. Make a mistake in it, such as namespace: kube-system, and see file and line.
  Merge, and the Secrets are there; the commit gets the status secretsync/live, and a note:
  git fetch origin 'refs/notes/*:refs/notes/*' && git log --notes=secretsync
`, d.forge.URL, forgeRepository, d.forge.dana.Name, d.forge.dana.Password, d.forge.dana.CloneURL(forgeRepository))
}
