package server

import (
	"secretsync/cmd/secretsync/internal/config"
	"secretsync/gitstore"
	"secretsync/httpapi/hooks"
)

// tenantHook is a tenant's hook, with what it was made of: it is kept over reloads
// that leave that as it is, with what it remembers of deliveries that came of late.
type tenantHook struct {
	config.Webhook
	repository *gitstore.Repository
	*hooks.Hook
}

// tenantHooks makes the hooks of all tenants that have one.
func (p *Program) tenantHooks(cfg *config.Config, repositories map[gitstore.TenantName]*gitstore.Repository) map[gitstore.TenantName]tenantHook {
	made := make(map[gitstore.TenantName]tenantHook)
	for _, t := range cfg.Tenants {
		if t.Webhook == (config.Webhook{}) {
			continue
		}
		h := tenantHook{Webhook: t.Webhook, repository: repositories[t.Name]}
		if kept := p.hooks[t.Name]; kept.Webhook == h.Webhook && kept.repository == h.repository {
			made[t.Name] = kept
			continue
		}
		h.Hook = hooks.New(h.Kind, h.SecretFile, h.repository, pullsHinter{p, t.Name})
		made[t.Name] = h
	}
	return made
}

// pullsHinter tells who at the time checks a tenant's pull requests, and who has
// opened some.
type pullsHinter struct {
	p      *Program
	tenant gitstore.TenantName
}

// Hint tells that something happened to one of them.
func (h pullsHinter) Hint() {
	h.p.desk.Hint(h.tenant)
	h.p.proposals.Hint(h.tenant)
}
