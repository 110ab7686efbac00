package remote

import (
	"strings"
	"testing"
)

func TestEndpoints(t *testing.T) {
	ssh := Settings{SSHKeyFile: "key", KnownHostsFile: "known"}
	for raw, want := range map[string]string{
		"https://Forge.Example/acme/secrets.git":   "https://forge.example/acme/secrets.git",
		"https://forge.example:443/acme/":          "https://forge.example/acme",
		"https://forge.example:8443/a%20b/_git/x":  "https://forge.example:8443/a%20b/_git/x",
		"HTTPS://forge.example/x":                  "https://forge.example/x",
		"https://[2001:db8::1]:8443/x":             "https://[2001:db8::1]:8443/x",
		"http://localhost:3000/x":                  "http://localhost:3000/x",
		"http://127.0.0.1/x":                       "http://127.0.0.1/x",
		"http://[::1]:80/x":                        "http://[::1]/x",
		"ssh://git@forge.example/acme/secrets.git": "ssh://git@forge.example/acme/secrets.git",
		"ssh://forge.example:22/x":                 "ssh://git@forge.example/x",
		"ssh://git@forge.example:2222/x":           "ssh://git@forge.example:2222/x",
		"ssh://git@forge.example/~me/x":            "ssh://git@forge.example/~me/x",
		"git@forge.example:acme/secrets.git":       "git@forge.example:acme/secrets.git",
		"forge.example:/srv/x":                     "git@forge.example:/srv/x",
		"git@[2001:db8::1]:x":                      "git@[2001:db8::1]:x",
	} {
		s := Settings{URL: raw}
		if !strings.HasPrefix(strings.ToLower(raw), "http") {
			s = ssh
			s.URL = raw
		}
		e, err := ParseEndpoint(s)
		if err != nil || e.String() != want {
			t.Errorf("%s is %q, %v, want %q", raw, e, err, want)
		}
	}
}

func TestEndpointsThatAreRefused(t *testing.T) {
	const canary = "s3cret"
	ssh := Settings{SSHKeyFile: "key", KnownHostsFile: "known"}
	with := func(s Settings, url string) Settings { s.URL = url; return s }
	app := App{ID: "1", InstallationID: "2", PrivateKeyFile: "k"}
	for name, c := range map[string]struct {
		s    Settings
		says string
	}{
		"nothing":                     {Settings{}, "empty"},
		"a password":                  {Settings{URL: "https://user:" + canary + "@forge.example/x"}, "passwordFile"},
		"a token for a user":          {Settings{URL: "https://" + canary + "@forge.example/x"}, "passwordFile"},
		"a password over ssh":         {with(ssh, "ssh://git:"+canary+"@forge.example/x"), "passwordFile"},
		"a query":                     {Settings{URL: "https://forge.example/x?token=" + canary}, "query"},
		"a fragment":                  {Settings{URL: "https://forge.example/x#" + canary}, "query or a fragment"},
		"a file":                      {Settings{URL: "file:///etc"}, "not spoken"},
		"a file in the short form":    {with(ssh, "file:/etc/x"), "not spoken"},
		"a helper":                    {with(ssh, "ext::sh -c x"), "neither"},
		"a folder":                    {Settings{URL: "/srv/git/x"}, "neither"},
		"an option":                   {with(ssh, "-oProxyCommand=x:y"), "dash"},
		"an option for a host":        {with(ssh, "ssh://-oProxyCommand=x/y"), "host"},
		"an option for a host, short": {with(ssh, "git@-oProxyCommand=x:y"), "host"},
		"an option for a user":        {with(ssh, "ssh://-oProxyCommand@forge.example/x"), "user"},
		"an option for a path":        {with(ssh, "git@forge.example:--upload-pack=x"), "dash"},
		"an option for a path of ssh": {with(ssh, "ssh://git@forge.example/-x"), "dash"},
		"a line feed":                 {Settings{URL: "https://forge.example/x\ny"}, "control"},
		"an escaped line feed":        {with(ssh, "ssh://git@forge.example/x%0ay"), "control"},
		"a space in the host":         {Settings{URL: "https://forge example/x"}, "malformed"},
		"no host":                     {Settings{URL: "https:///x"}, "host"},
		"no path":                     {Settings{URL: "https://forge.example/"}, "path"},
		"http":                        {Settings{URL: "http://forge.example/x"}, "insecure"},
		"git":                         {Settings{URL: "git://forge.example/x"}, "not spoken"},
		"ssh without known hosts":     {Settings{URL: "git@forge.example:x", SSHKeyFile: "key"}, "knownHostsFile"},
		"ssh without a key":           {Settings{URL: "git@forge.example:x", KnownHostsFile: "known"}, "sshKeyFile"},
		"a password file for ssh":     {Settings{URL: "git@forge.example:x", SSHKeyFile: "key", KnownHostsFile: "known", PasswordFile: "p"}, "not for ssh"},
		"a key of ssh for https":      {with(ssh, "https://forge.example/x"), "for ssh only"},
		"a certificate without key":   {Settings{URL: "https://forge.example/x", ClientCertFile: "c"}, "together"},
		"an app and a password":       {Settings{URL: "https://forge.example/x", App: app, PasswordFile: "p"}, "exclude"},
		"an app without a key":        {Settings{URL: "https://forge.example/x", App: App{ID: "1", InstallationID: "2"}}, "privateKeyFile"},
		"an app's API over http":      {Settings{URL: "https://forge.example/x", App: App{"1", "2", "k", "http://forge.example"}}, "https"},
		"a colon in the user":         {Settings{URL: "https://forge.example/x", Username: "a:b"}, "colon"},
		"a proxy of another kind":     {Settings{URL: "https://forge.example/x", Proxy: "ftp://p"}, "socks5"},
		"a proxy with a password":     {Settings{URL: "https://forge.example/x", Proxy: "http://u:" + canary + "@p"}, "credentials"},
		"a proxy with a path":         {Settings{URL: "https://forge.example/x", Proxy: "http://p/" + canary}, "host:port"},
		"a negative timeout":          {Settings{URL: "https://forge.example/x", Timeout: -1}, "negative"},
	} {
		_, err := ParseEndpoint(c.s)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error tells a credential: %v", name, err)
		}
	}
}

func FuzzEndpoints(f *testing.F) {
	for _, raw := range []string{"https://forge.example/x", "git@forge.example:x", "ssh://git@[::1]:22/~x", "-oProxyCommand=x:y", "https://u:p@h/x?y#z"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, s := range []Settings{{URL: raw}, {URL: raw, SSHKeyFile: "key", KnownHostsFile: "known"}} {
			e, err := ParseEndpoint(s)
			if err != nil {
				continue
			}
			if strings.HasPrefix(e.host, "-") || strings.HasPrefix(e.path, "-") || strings.HasPrefix(e.user, "-") || strings.ContainsAny(e.String(), "\n\x00\x1b") ||
				strings.Contains(e.String(), "://") && strings.ContainsAny(e.String(), "?#") {
				t.Errorf("%q is taken as %q", raw, e)
			}
			s.URL = e.String()
			again, err := ParseEndpoint(s)
			if err != nil || again.String() != e.String() {
				t.Errorf("%q is %q, which is %q, %v", raw, e, again, err)
			}
		}
	})
}
