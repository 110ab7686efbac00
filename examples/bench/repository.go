package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"secretsync/gitstore"
)

// makeRepository has the store make an empty repository below dir and returns its path.
func makeRepository(dir, tenant string) (string, error) {
	name, err := gitstore.ParseTenantName(tenant)
	if err != nil {
		return "", err
	}
	store, err := gitstore.Open(gitstore.Config{Dir: dir})
	if err != nil {
		return "", err
	}
	if _, err := openRepository(context.Background(), store, name); err != nil {
		store.Close()
		return "", err
	}
	return filepath.Join(dir, tenant+".git"), store.Close()
}

// openRepository returns a tenant's repository once it is open.
func openRepository(ctx context.Context, store *gitstore.Store, tenant gitstore.TenantName) (*gitstore.Repository, error) {
	repository, err := store.Repository(tenant)
	if err != nil {
		return nil, err
	}
	if err := repository.Opened(ctx); err != nil {
		return nil, err
	}
	return repository, repository.Healthy()
}

// git runs stock git in a folder.
func git(ctx context.Context, dir string, args ...string) error {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@localhost",
		"GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@localhost")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}

// importCommits adds commits to a repository, as one push would.
func importCommits(repository string, in io.Reader) error {
	git := exec.Command("git", "--git-dir", repository, "fast-import", "--quiet")
	git.Stdin = in
	if out, err := git.CombinedOutput(); err != nil {
		return fmt.Errorf("git fast-import: %w\n%s", err, out)
	}
	return nil
}
