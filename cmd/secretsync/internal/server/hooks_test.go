package server

import (
	"testing"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/gitstore"
	"secretsync/gitstore/forge"
	"secretsync/gitstore/gitstoretest"
)

func TestAHookIsKeptOverReloads(t *testing.T) {
	name, err := gitstore.ParseTenantName("acme")
	if err != nil {
		t.Fatal(err)
	}
	repositories := map[gitstore.TenantName]*gitstore.Repository{
		name: gitstoretest.MustOpen(t, gitstore.Config{}).MustRepository("acme").Repository,
	}
	p := new(Program)
	tenant := config.Tenant{Name: name, Webhook: config.Webhook{Kind: forge.Gitea, SecretFile: "hook"}}
	reload := func() tenantHook {
		p.hooks = p.tenantHooks(&config.Config{Tenants: []config.Tenant{tenant}}, repositories)
		return p.hooks[name]
	}
	first := reload()
	if first.Hook == nil || reload().Hook != first.Hook {
		t.Error("it is made anew although nothing changed: a flood would be let in at each reload")
	}
	tenant.Forge.Checks = true
	second := reload()
	if second.Hook != first.Hook {
		t.Error("it is made anew although nothing changed that matters to it")
	}
	tenant.Webhook.Kind = forge.GitLab
	if reload().Hook == second.Hook {
		t.Error("another kind of forge is not listened to")
	}
	tenant.Webhook = config.Webhook{}
	if reload().Hook != nil {
		t.Error("what is configured no more is listened to")
	}
}
