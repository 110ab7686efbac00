package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"secretsync/httpapi"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/githttp/prereceive"
	"secretsync/reconcile"
)

// gitConfig is how repositories are served to stock git.
type gitConfig struct {
	serve   bool
	command string
	timeout time.Duration
	idle    time.Duration
	maxPush int64 // in bytes, as the next
	maxSize int64 // of a repository
	runs    int
	ofOne   int // tenant
}

func (d *document) parseGit() gitConfig {
	in := d.Git
	d.checkInterval("git.timeout", in.Timeout)
	d.checkInterval("git.idleTimeout", in.IdleTimeout)
	d.atLeast("git.maxPushMiB", float64(in.MaxPushMiB), 0)
	d.atLeast("git.maxRepositoryMiB", float64(in.MaxSizeMiB), 0)
	d.atLeast("git.concurrency", float64(in.Runs), 0)
	d.atLeast("git.concurrencyPerTenant", float64(in.OfTenant), 0)
	return gitConfig{
		serve:   in.Serve == nil || *in.Serve,
		command: in.Command, timeout: in.Timeout, idle: in.IdleTimeout,
		maxPush: in.MaxPushMiB << 20, maxSize: in.MaxSizeMiB << 20, runs: in.Runs, ofOne: in.OfTenant,
	}
}

// serveGit makes what serves the repositories, or nil if they aren't to be. That
// there is no git is said to who asks for it; nobody else needs it.
func (p *program) serveGit(cfg *config) (httpapi.GitServer, error) {
	if !cfg.git.serve {
		return nil, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("serve repositories: find this program: %w", err)
	}
	dir, err := filepath.Abs(filepath.Join(cfg.dataDir, "git"))
	if err != nil {
		return nil, fmt.Errorf("serve repositories: %w", err)
	}
	served, err := githttp.New(githttp.Config{
		Command: cfg.git.command, Dir: dir, Hook: self,
		Timeout: cfg.git.timeout, IdleTimeout: cfg.git.idle, MaxPush: cfg.git.maxPush, MaxRepository: cfg.git.maxSize,
		Runs: cfg.git.runs, RunsOfTenant: cfg.git.ofOne,
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
func (p *program) clone(cfg *config, t tenantConfig) *httpapi.Clone {
	if p.git == nil || !t.repository.Remote.IsZero() { // who has a remote one clones that
		return nil
	}
	rules := prereceive.Rules{
		Git: p.git.Git(), Tenant: t.name.String(), Branch: t.repository.Branch.String(),
		MayDelete: t.repository.AllowForcePush, Definitions: cfg.definitions, Grants: make(map[string]reconcile.Grant),
	}
	signatures := t.repository.Signatures
	rules.AllowedSignersFile, rules.OpenPGPKeysFile = absolute(signatures.AllowedSignersFile), absolute(signatures.OpenPGPKeysFile)
	rules.Since = signatures.Since.String()
	for alias, grant := range t.grants {
		rules.Grants[alias.String()] = grant
	}
	return &httpapi.Clone{Folder: p.store.Folder(t.name), Rules: rules}
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
				return errReported
			}
			return nil
		},
	})
	return hook
}
