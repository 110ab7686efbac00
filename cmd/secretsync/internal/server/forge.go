package server

import (
	"fmt"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/gitstore"
	"secretsync/gitstore/forge"
	"secretsync/reconcile/report"
)

// forgeClient is a tenant's client, with what it was made of: it is kept over
// reloads that leave that as it is, with the pauses that the forge asked for.
type forgeClient struct {
	config.Forge
	*forge.Client
}

// forgeOf returns the tenant's client; nil if there is no forge.
func (p *Program) forgeOf(t config.Tenant) (*forge.Client, error) {
	if t.Forge.Repository == "" {
		return nil, nil
	}
	if kept, ok := p.forges[t.Name]; ok && kept.Forge == t.Forge {
		return kept.Client, nil
	}
	client, err := t.Forge.Client()
	if err != nil {
		return nil, fmt.Errorf("the forge of tenant %s: %w", t.Name, err)
	}
	p.forges[t.Name] = forgeClient{t.Forge, client}
	return client, nil
}

// newReporter makes what tells of commits that became live.
func (p *Program) newReporter(cfg *config.Config) (*report.Reporter, error) {
	p.forges = make(map[gitstore.TenantName]forgeClient)
	return report.New(report.Config{
		Source:    p.reconciler,
		Dir:       datafolder.Reports(cfg.DataDir),
		PublicURL: cfg.PublicURL,
		Log:       p.log,
		Metrics:   p.registry,
	})
}

// reports says where what became live is told of each tenant.
func (p *Program) reports(cfg *config.Config, repositories map[gitstore.TenantName]*gitstore.Repository) ([]report.Tenant, error) {
	var tenants []report.Tenant
	for _, t := range cfg.Tenants {
		told := report.Tenant{Name: t.Name, Repository: repositories[t.Name], Receipts: t.Receipts}
		client, err := p.forgeOf(t)
		if err != nil {
			return nil, err
		}
		if client != nil && t.Forge.Statuses {
			told.Forge = client
		}
		tenants = append(tenants, told)
	}
	return tenants, nil
}
