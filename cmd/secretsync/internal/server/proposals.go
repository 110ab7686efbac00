package server

import (
	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/gitstore"
	"secretsync/httpapi/tenants"
	"secretsync/reconcile/proposal"
)

// proposable says whose writes can become pull requests: of those who have a forge,
// and whose repository is on a server.
func (p *Program) proposable(cfg *config.Config, repositories map[gitstore.TenantName]*gitstore.Repository) ([]proposal.Config, error) {
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
			File: datafolder.Proposals(cfg.DataDir, t.Name), Log: p.log,
		})
	}
	return tenants, nil
}

// proposer returns what proposes a tenant's writes; nil: nothing does.
func (p *Program) proposer(t config.Tenant) tenants.Proposer {
	if k := p.proposals.Keeper(t.Name); k != nil {
		return k
	}
	return nil
}
