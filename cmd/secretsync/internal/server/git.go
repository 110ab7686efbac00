package server

import (
	"fmt"
	"os"
	"path/filepath"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/httpapi"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/githttp/prereceive"
	"secretsync/httpapi/tenants"
	"secretsync/reconcile"
)

// serveGit makes what serves the repositories, or nil if they aren't to be. That
// there is no git is said to who asks for it; nobody else needs it.
func (p *Program) serveGit(cfg *config.Config) (httpapi.GitServer, error) {
	if !cfg.Git.Serve {
		return nil, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("serve repositories: find this program: %w", err)
	}
	dir, err := filepath.Abs(datafolder.Git(cfg.DataDir))
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
func (p *Program) clone(cfg *config.Config, t config.Tenant) *tenants.Clone {
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
	return &tenants.Clone{Folder: p.store.Folder(t.Name), Rules: rules}
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
