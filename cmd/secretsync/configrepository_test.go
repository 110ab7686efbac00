package main

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
	cfg, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	want, err := gitstore.ParseRemote(gitstore.RemoteSettings{URL: url, PasswordFile: in("acme.token"), CAFile: in("ca.crt"), Timeout: 5 * time.Second}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.tenants[0].repository.Remote; !got.Equal(want) {
		t.Errorf("the remote is %+v", got)
	}
	if told := strings.Join(cfg.warnings, "\n"); !strings.Contains(told, "tenants.acme.repository.caFile: can't be read") {
		t.Errorf("warnings:\n%s", told)
	}
	for name, c := range map[string]struct{ repository, want string }{
		"the URL alone":     {url, url},
		"nothing":           {"", ""},
		"none":              {"{}", ""},
		"the short ssh URL": {"{url: 'git@forge.example.com:acme/secrets.git', sshKeyFile: key, knownHostsFile: hosts}", "git@forge.example.com:acme/secrets.git"},
	} {
		cfg, err := loadConfig(writeConfig(t, with(c.repository)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := cfg.tenants[0].repository.Remote.String(); got != c.want {
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
		_, err := loadConfig(writeConfig(t, with(c.repository)))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
