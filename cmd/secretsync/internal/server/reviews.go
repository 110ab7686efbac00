package server

import (
	"secretsync/cmd/secretsync/internal/config"
	"secretsync/gitstore"
	"secretsync/reconcile/review"
)

// reviews says whose pull requests are checked, and where.
func (p *Program) reviews(cfg *config.Config, repositories map[gitstore.TenantName]*gitstore.Repository) ([]review.Config, error) {
	var checked []review.Config
	for _, t := range cfg.Tenants {
		if !t.Forge.Checks {
			continue
		}
		client, err := p.forgeOf(t)
		if err != nil {
			return nil, err
		}
		checked = append(checked, review.Config{
			Tenant: t.Name, Branch: t.Repository.Branch.String(), Pulls: client, Repository: repositories[t.Name], Planner: p.reconciler, Log: p.log,
		})
	}
	return checked, nil
}
