package config

import (
	"strings"
	"testing"

	"secretsync/gitstore"
	"secretsync/gitstore/forge"
)

func TestTheForgeOfATenant(t *testing.T) {
	with := func(top, fields string) string {
		return top + strings.Replace(rightConfig, "  acme:\n", "  acme:\n    repository:\n      receipts: true\n      forge:\n"+fields, 1)
	}
	for name, test := range map[string]struct {
		top, fields string
		want        string // in the error; empty: it is right
		kind        forge.Kind
	}{
		"a forge that is known by its host":       {fields: "        repository: https://github.com/acme/secrets.git\n        tokenFile: token\n        statuses: true\n        checks: true\n", kind: forge.GitHub},
		"a forge that is named":                   {fields: "        repository: git@git.example.org:acme/secrets.git\n        kind: gitea\n        tokenFile: token\n", kind: forge.Gitea},
		"a forge that is not known":               {fields: "        repository: https://git.example.org/acme/secrets.git\n        tokenFile: token\n", want: "forge.kind: is missing, and the address does not tell it"},
		"a kind that there is none of":            {fields: "        repository: https://git.example.org/acme/secrets.git\n        tokenFile: token\n        kind: sourceforge\n", want: `"sourceforge" is no kind of forge`},
		"no repository":                           {fields: "        kind: gitea\n        tokenFile: token\n", want: "forge.repository: is missing"},
		"no token":                                {fields: "        kind: gitea\n        repository: https://git.example.org/acme/secrets.git\n", want: "forge.tokenFile: is missing"},
		"plain http":                              {fields: "        kind: gitea\n        repository: http://git.example.org/acme/secrets.git\n        tokenFile: token\n", want: "plain http"},
		"Bitbucket without links":                 {fields: "        repository: https://bitbucket.org/acme/secrets.git\n        tokenFile: token\n        statuses: true\n", want: "needs publicURL"},
		"Bitbucket with links":                    {top: "publicURL: https://s.example.org/\n", fields: "        repository: https://bitbucket.org/acme/secrets.git\n        tokenFile: token\n        statuses: true\n", kind: forge.Bitbucket},
		"a public URL that is none":               {top: "publicURL: s.example.org\n", fields: "        repository: https://github.com/acme/secrets.git\n        tokenFile: token\n", want: ":1: publicURL: is no address"},
		"a public URL that would show a password": {top: "publicURL: https://user:canary@s.example.org\n", fields: "        repository: https://github.com/acme/secrets.git\n        tokenFile: token\n", want: ":1: publicURL: is no address"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Load(writeConfig(t, with(test.top, test.fields)))
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tenant := cfg.Tenants[0]; tenant.Forge.Kind != test.kind || !tenant.Receipts || strings.HasSuffix(cfg.PublicURL, "/") {
				t.Errorf("got %+v", tenant.Forge)
			}
		})
	}
}

func TestTheAppOfARepositoryServesItsForge(t *testing.T) {
	with := func(forge string) string {
		return strings.Replace(rightConfig, "  acme:\n", "  acme:\n    repository:\n      url: https://github.com/acme/secrets.git\n"+
			"      githubApp: {appID: Iv1.abc, installationID: \"42\", privateKeyFile: app.pem}\n      forge:\n"+forge, 1)
	}
	cfg, err := Load(writeConfig(t, with("        statuses: true\n")))
	if err != nil {
		t.Fatal(err)
	}
	if f := cfg.Tenants[0].Forge; f.App.ID != "Iv1.abc" || f.TokenFile != "" || f.Kind != forge.GitHub {
		t.Errorf("got %+v", f)
	}
	cfg, err = Load(writeConfig(t, with("        tokenFile: token\n")))
	if err != nil || cfg.Tenants[0].Forge.App != (gitstore.GitHubApp{}) {
		t.Errorf("a token that is named is not used: %v", err)
	}
	_, err = Load(writeConfig(t, with("        kind: gitea\n        repository: https://git.example.org/acme/secrets.git\n")))
	if err == nil || !strings.Contains(err.Error(), "githubApp is for the API of GitHub alone") {
		t.Errorf("got %v", err)
	}
}
