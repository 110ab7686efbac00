package main

import (
	"path/filepath"

	"secretsync/gitstore"
	"secretsync/httpapi"
	"secretsync/reconcile/proposal"
)

// proposable says whose writes can become pull requests: of those who have a forge,
// and whose repository is on a server.
func (p *program) proposable(cfg *config, repositories map[gitstore.TenantName]*gitstore.Repository) ([]proposal.Config, error) {
	var tenants []proposal.Config
	for _, t := range cfg.tenants {
		if t.repository.Remote.IsZero() {
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
			Tenant: t.name, Base: t.repository.Branch.String(), Pulls: client, Repository: repositories[t.name],
			File: filepath.Join(cfg.dataDir, "proposals", t.name.String()+".json"), Log: p.log,
		})
	}
	return tenants, nil
}

// proposer returns what proposes a tenant's writes; nil: nothing does.
func (p *program) proposer(t tenantConfig) httpapi.Proposer {
	if k := p.proposals.Keeper(t.name); k != nil {
		return k
	}
	return nil
}

// parseWrite reports whether a tenant's writes are proposals.
func (d *document) parseWrite(field string, in repositoryFile) bool {
	switch in.Write {
	case "", "direct":
		return false
	case "propose":
		if in.URL == "" || in.Forge == nil {
			d.wrong(field, "needs repository.url and repository.forge: a pull request is opened there")
		}
		return true
	}
	d.wrong(field, "%.80q is neither direct nor propose", in.Write)
	return false
}
