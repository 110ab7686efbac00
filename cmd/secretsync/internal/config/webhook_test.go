package config

import (
	"strings"
	"testing"

	"secretsync/gitstore/forge"
)

func TestTheWebhookOfATenant(t *testing.T) {
	const secret = "secretFile: hook"
	for name, c := range map[string]struct {
		repository string
		want       string // in the error; empty: it is right
		kind       forge.Kind
	}{
		"the repository is here":            {"{webhook: {" + secret + "}}", "", forge.Generic},
		"a host that is known":              {"{url: 'https://github.com/acme/secrets.git', webhook: {" + secret + "}}", "", forge.GitHub},
		"a host that is not":                {"{url: 'https://git.example.org/acme/secrets.git', webhook: {" + secret + "}}", "", forge.Generic},
		"the kind of the forge":             {"{url: 'https://git.example.org/acme/secrets.git', forge: {kind: forgejo, tokenFile: token}, webhook: {" + secret + "}}", "", forge.Forgejo},
		"another one than that":             {"{url: 'https://github.com/acme/secrets.git', webhook: {kind: generic, " + secret + "}}", "", forge.Generic},
		"a kind that there is none of":      {"{webhook: {kind: sourceforge, " + secret + "}}", `:11: tenants.acme.repository.webhook.kind: "sourceforge" is no kind of forge`, ""},
		"no secret":                         {"{webhook: {kind: gitea}}", "tenants.acme.repository.webhook.secretFile: is missing", ""},
		"the secret itself is in the place": {"{webhook: {secret: canary}}", "secret: unknown field; known here: kind, secretFile", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Load(writeConfig(t, strings.Replace(rightConfig, "  acme:\n", "  acme:\n    repository: "+c.repository+"\n", 1), "hook"))
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := cfg.Tenants[0].Webhook; got.Kind != c.kind || !strings.HasSuffix(got.SecretFile, "/hook") || len(cfg.Warnings) > 0 {
				t.Errorf("got %+v, warnings %q", got, cfg.Warnings)
			}
		})
	}
}

func TestAHookWhoseSecretIsMissingIsAWarning(t *testing.T) {
	cfg, err := Load(writeConfig(t, strings.Replace(rightConfig, "  acme:\n", "  acme:\n    repository: {webhook: {secretFile: nowhere}}\n", 1)))
	if err != nil || len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], ":11: tenants.acme.repository.webhook.secretFile: can't be used: open ") {
		t.Errorf("warnings %q: %v", cfg.Warnings, err)
	}
}
