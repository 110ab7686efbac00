package main

import (
	"secretsync/gitstore"
	"secretsync/gitstore/forge"
	"secretsync/httpapi/hooks"
)

// webhookFile is what a forge may send about a tenant's repository.
type webhookFile struct {
	Kind       string `yaml:"kind"`
	SecretFile string `yaml:"secretFile"`
}

// webhookConfig is the same, checked; its zero value: nothing is expected.
type webhookConfig struct {
	kind       forge.Kind
	secretFile string
}

// parseWebhook returns what is expected to be sent. If the file does not say by
// what kind of forge, it is that of the tenant's forge, or what the repository's
// host tells.
func (d *document) parseWebhook(field string, in *webhookFile, of forgeConfig, url string) webhookConfig {
	if in == nil {
		return webhookConfig{}
	}
	w := webhookConfig{kind: of.kind, secretFile: d.file(in.SecretFile)}
	if w.kind == "" {
		w.kind = forge.Generic
		if known, ok := forge.KindOfRepository(url); ok {
			w.kind = known
		}
	}
	if in.Kind != "" {
		kind, err := forge.ParseHookKind(in.Kind)
		if err != nil {
			d.wrong(field+".kind", "%v", err)
		}
		w.kind = kind
	}
	d.needed(field+".secretFile", w.secretFile, "the file that holds the secret which is entered in the forge as well")
	if w.secretFile != "" {
		if _, err := forge.ReadSecrets(w.secretFile); err != nil {
			d.warn(field+".secretFile", "can't be used: %v", err)
		}
	}
	return w
}

// tenantHook is a tenant's hook, with what it was made of: it is kept over reloads
// that leave that as it is, with what it remembers of deliveries that came of late.
type tenantHook struct {
	webhookConfig
	repository *gitstore.Repository
	*hooks.Hook
}

// tenantHooks makes the hooks of all tenants that have one.
func (p *program) tenantHooks(cfg *config, repositories map[gitstore.TenantName]*gitstore.Repository) map[gitstore.TenantName]tenantHook {
	made := make(map[gitstore.TenantName]tenantHook)
	for _, t := range cfg.tenants {
		if t.webhook == (webhookConfig{}) {
			continue
		}
		h := tenantHook{webhookConfig: t.webhook, repository: repositories[t.name]}
		if kept := p.hooks[t.name]; kept.webhookConfig == h.webhookConfig && kept.repository == h.repository {
			made[t.name] = kept
			continue
		}
		h.Hook = hooks.New(h.kind, h.secretFile, h.repository, pullsHinter{p, t.name})
		made[t.name] = h
	}
	return made
}

// pullsHinter tells who at the time checks a tenant's pull requests, and who has
// opened some.
type pullsHinter struct {
	p      *program
	tenant gitstore.TenantName
}

// Hint tells that something happened to one of them.
func (h pullsHinter) Hint() {
	h.p.desk.Hint(h.tenant)
	h.p.proposals.Hint(h.tenant)
}
