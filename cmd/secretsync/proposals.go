package main

import (
	"path/filepath"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/gitstore"
	"secretsync/httpapi"
	"secretsync/reconcile/proposal"
)

// proposable says whose writes can become pull requests: of those who have a forge,
// and whose repository is on a server.
func (p *program) proposable(cfg *config.Config, repositories map[gitstore.TenantName]*gitstore.Repository) ([]proposal.Config, error) {
	var tenants []proposal.Config
	for _, t := range cfg.Tenants {
		if t.Repository.Remote.IsZero() {
			continue
		}
		client, err := p.forgeOf(t)
		if err != nil {
			return nil, err
		}
		if client == nil {
			continue
		}
		tenants = append(tenants, proposal.Config{
			Tenant: t.Name, Base: t.Repository.Branch.String(), Pulls: client, Repository: repositories[t.Name],
			File: filepath.Join(cfg.DataDir, "proposals", t.Name.String()+".json"), Log: p.log,
		})
	}
	return tenants, nil
}

// proposer returns what proposes a tenant's writes; nil: nothing does.
func (p *program) proposer(t config.Tenant) httpapi.Proposer {
	if k := p.proposals.Keeper(t.Name); k != nil {
		return k
	}
	return nil
}
