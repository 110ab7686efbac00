package config

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore"
)

func TestRepositoriesOnServersAreConfigured(t *testing.T) {
	with := func(repository string) string {
		return strings.Replace(rightConfig, "  acme:\n", "  acme:\n    repository: "+repository+"\n", 1)
	}
	const url = "https://forge.example.com/acme/secrets.git"
	long := with("{url: '" + url + "', passwordFile: acme.token, caFile: ca.crt, pollInterval: 1m, timeout: 5s}")
	path := writeConfig(t, long, "acme.token")
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	want, err := gitstore.ParseRemote(gitstore.RemoteSettings{URL: url, PasswordFile: in("acme.token"), CAFile: in("ca.crt"), Timeout: 5 * time.Second}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Tenants[0].Repository.Remote; !got.Equal(want) {
		t.Errorf("the remote is %+v", got)
	}
	if told := strings.Join(cfg.Warnings, "\n"); !strings.Contains(told, "tenants.acme.repository.caFile: can't be read") {
		t.Errorf("warnings:\n%s", told)
	}
	for name, c := range map[string]struct{ repository, want string }{
		"the URL alone":     {url, url},
		"nothing":           {"", ""},
		"none":              {"{}", ""},
		"the short ssh URL": {"{url: 'git@forge.example.com:acme/secrets.git', sshKeyFile: key, knownHostsFile: hosts}", "git@forge.example.com:acme/secrets.git"},
	} {
		cfg, err := Load(writeConfig(t, with(c.repository)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := cfg.Tenants[0].Repository.Remote.String(); got != c.want {
			t.Errorf("%s: the remote is %q", name, got)
		}
	}
	for name, c := range map[string]struct{ repository, want string }{
		"a credential in the URL": {"https://me:hunter2@forge.example.com/acme.git", ":11: tenants.acme.repository: url: credentials have no place in it"},
		"a file":                  {"file:///srv/acme.git", `:11: tenants.acme.repository: url: "file" is not spoken`},
		"http to elsewhere":       {"http://forge.example.com/acme.git", "use https"},
		"a field that is unknown": {"{url: '" + url + "', password: hunter2}", "password: unknown field; known here: "},
		"a token without a URL":   {"{passwordFile: token}", "tenants.acme.repository.url: is missing"},
		"ssh without known hosts": {"ssh://git@forge.example.com/acme.git", "knownHostsFile"},
		"too often":               {"{url: '" + url + "', pollInterval: 10ms}", "tenants.acme.repository.pollInterval: 10ms is too short"},
		"a list":                  {"[a]", "is a list where a mapping is wanted"},
	} {
		_, err := Load(writeConfig(t, with(c.repository)))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHowATenantsRepositoryIsWrittenTo(t *testing.T) {
	const remote = "    repository:\n      url: https://git.example.org/acme/secrets.git\n"
	const hosted = remote + "      forge: {kind: gitea, tokenFile: token}\n"
	for name, test := range map[string]struct {
		fields string
		only   bool
		want   string // in the error; empty: it is right
	}{
		"as it comes":      {fields: hosted},
		"directly":         {fields: hosted + "      write: direct\n"},
		"by proposals":     {fields: hosted + "      write: propose\n", only: true},
		"in no known way":  {fields: hosted + "      write: never\n", want: `repository.write: "never" is neither direct nor propose`},
		"without a forge":  {fields: remote + "      write: propose\n", want: "repository.write: needs repository.url and repository.forge"},
		"without a remote": {fields: "    repository:\n      forge: {repository: https://git.example.org/acme/secrets.git, kind: gitea, tokenFile: token}\n      write: propose\n", want: "repository.write: needs repository.url"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Load(writeConfig(t, strings.Replace(rightConfig, "  acme:\n", "  acme:\n"+test.fields, 1)))
			switch {
			case test.want != "":
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v", err)
				}
			case err != nil:
				t.Error(err)
			case cfg.Tenants[0].ProposeOnly != test.only:
				t.Errorf("got %v", cfg.Tenants[0].ProposeOnly)
			}
		})
	}
}
