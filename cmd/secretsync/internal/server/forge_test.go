package server

import (
	"testing"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/gitstore"
	"secretsync/gitstore/forge"
)

func TestAClientOfAForgeIsKeptOverReloads(t *testing.T) {
	p := &Program{forges: map[gitstore.TenantName]forgeClient{}}
	tenant := config.Tenant{Forge: config.Forge{Kind: forge.Gitea, Repository: "https://git.example.org/acme/secrets.git", TokenFile: "token"}}
	first, err := p.forgeOf(tenant)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := p.forgeOf(tenant); again != first {
		t.Error("it is made anew although nothing changed: the pauses that the forge asked for are lost")
	}
	tenant.Forge.TokenFile = "other"
	if other, _ := p.forgeOf(tenant); other == first {
		t.Error("another token is not used")
	}
}
