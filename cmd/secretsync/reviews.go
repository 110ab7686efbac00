package main

import (
	"secretsync/gitstore"
	"secretsync/reconcile/review"
)

// reviews says whose pull requests are checked, and where.
func (p *program) reviews(cfg *config, repositories map[gitstore.TenantName]*gitstore.Repository) ([]review.Config, error) {
	var checked []review.Config
	for _, t := range cfg.tenants {
		if !t.forge.checks {
			continue
		}
		client, err := p.forgeOf(t)
		if err != nil {
			return nil, err
		}
		checked = append(checked, review.Config{
			Tenant: t.name, Branch: t.repository.Branch.String(), Pulls: client, Repository: repositories[t.name], Planner: p.reconciler, Log: p.log,
		})
	}
	return checked, nil
}
