package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli"
	"secretsync/cmd/secretsync/internal/config"
	"secretsync/httpapi"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/githttp/prereceive"
	"secretsync/reconcile"
)

// serveGit makes what serves the repositories, or nil if they aren't to be. That
// there is no git is said to who asks for it; nobody else needs it.
func (p *program) serveGit(cfg *config.Config) (httpapi.GitServer, error) {
	if !cfg.Git.Serve {
		return nil, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("serve repositories: find this program: %w", err)
	}
	dir, err := filepath.Abs(filepath.Join(cfg.DataDir, "git"))
	if err != nil {
		return nil, fmt.Errorf("serve repositories: %w", err)
	}
	served, err := githttp.New(githttp.Config{
		Command: cfg.Git.Command, Dir: dir, Hook: self,
		Timeout: cfg.Git.Timeout, IdleTimeout: cfg.Git.Idle, MaxPush: cfg.Git.MaxPush, MaxRepository: cfg.Git.MaxSize,
		Runs: cfg.Git.Runs, RunsOfTenant: cfg.Git.OfOne,
	})
	if err != nil {
		return nil, fmt.Errorf("serve repositories: %w", err)
	}
	p.git = served
	if err := served.Usable(); err != nil {
		p.log.Info("repositories can't be cloned from here", "cause", err)
	}
	return served, nil
}

// clone is how a tenant's repository is served, as far as it is.
func (p *program) clone(cfg *config.Config, t config.Tenant) *httpapi.Clone {
	if p.git == nil || !t.Repository.Remote.IsZero() { // who has a remote one clones that
		return nil
	}
	rules := prereceive.Rules{
		Git: p.git.Git(), Tenant: t.Name.String(), Branch: t.Repository.Branch.String(),
		MayDelete: t.Repository.AllowForcePush, Definitions: cfg.Definitions, Grants: make(map[string]reconcile.Grant),
	}
	signatures := t.Repository.Signatures
	rules.AllowedSignersFile, rules.OpenPGPKeysFile = absolute(signatures.AllowedSignersFile), absolute(signatures.OpenPGPKeysFile)
	rules.Since = signatures.Since.String()
	for alias, grant := range t.Grants {
		rules.Grants[alias.String()] = grant
	}
	return &httpapi.Clone{Folder: p.store.Folder(t.Name), Rules: rules}
}

// absolute returns a path that means the same in another folder.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// newHook is what git runs, not people.
func newHook() *cobra.Command {
	hook := &cobra.Command{Use: "hook", Hidden: true, Args: cobra.NoArgs, Short: "What git runs"}
	hook.AddCommand(&cobra.Command{
		Use: githttp.HookName, Args: cobra.NoArgs, Short: "Judge a push, on behalf of a running server",
		RunE: func(*cobra.Command, []string) error {
			if prereceive.Main() != 0 {
				return cli.ErrReported
			}
			return nil
		},
	})
	return hook
}
