package config

import (
	"path/filepath"
	"strings"
	"testing"

	"secretsync/gitstore"
)

func TestWhoSignsIsConfigured(t *testing.T) {
	const since = "3f786850e387550fdab836ed7e6dc881de23001b"
	with := func(committer, tenant string) string {
		return committer + strings.Replace(rightConfig, "  acme:\n", "  acme:\n    "+tenant+"\n", 1)
	}
	path := writeConfig(t, with("committer: {signingKeyFile: signing/server, signingPassphraseFile: away}\n",
		"signatures: {allowedSignersFile: signing/allowed, since: "+since+"}"), "signing/server", "signing/allowed")
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	if got, want := cfg.SigningKey, (gitstore.SigningKey{File: in("signing/server"), PassphraseFile: in("away")}); got != want {
		t.Errorf("the key is %+v", got)
	}
	if got := cfg.Tenants[0].Repository.Signatures; got.AllowedSignersFile != in("signing/allowed") || got.Since.String() != since {
		t.Errorf("signatures are %+v", got)
	}
	told := strings.Join(cfg.Warnings, "\n")
	for _, want := range []string{"committer.signingPassphraseFile", "no such file", "tenants.acme.signatures", "line 1"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not among the warnings:\n%s", want, told)
		}
	}
	for name, c := range map[string]struct{ committer, tenant, want string }{
		"nobody may sign":           {"", "signatures: {since: " + since + "}", ":11: tenants.acme.signatures: lists nobody"},
		"a commit that is none":     {"", "signatures: {openPGPKeysFile: token, since: main}", ":11: tenants.acme.signatures.since: \"main\" is no commit"},
		"a passphrase of no key":    {"committer: {signingPassphraseFile: token}\n", "", ":1: committer.signingPassphraseFile: is of no key"},
		"a field that is not known": {"committer: {signingKey: token}\n", "", "signingKey: unknown field"},
	} {
		_, err := Load(writeConfig(t, with(c.committer, c.tenant)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
