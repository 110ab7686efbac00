package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/cmd/secretsync/internal/cli/contexts"
)

func TestWhichServerAndAsWhom(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte("kupe_file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const a, b = "https://a.example.org", "https://b.example.org"
	for name, c := range map[string]struct {
		place            Place
		url, tenant, key string // of the variables
		want             string // URL, tenant and key, or what the error says
	}{
		"the current context":                              {want: a + " acme kupe_acme"},
		"another context":                                  {place: Place{context: "b"}, want: b + " acme kupe_b"},
		"another context, whatever the variables say":      {place: Place{context: "b"}, url: a, tenant: "x", key: "kupe_env", want: b + " acme kupe_b"},
		"a context that there is none of":                  {place: Place{context: "c"}, want: `there is no context "c"; there is acme, b, umbrella`},
		"the variables":                                    {url: b, tenant: "umbrella", key: "kupe_env", want: b + " umbrella kupe_env"},
		"the flags before the variables":                   {place: Place{url: b, tenant: "acme", keyFile: keyFile}, url: a, tenant: "x", key: "kupe_env", want: b + " acme kupe_file"},
		"the key of the server that is named":              {place: Place{url: b + "/", tenant: "acme"}, want: b + "/ acme kupe_b"},
		"the key of the tenant that is named":              {place: Place{tenant: "umbrella"}, want: a + " umbrella kupe_umbrella"},
		"a key goes to no other server":                    {place: Place{url: "https://evil.example.org", tenant: "acme"}, want: "there is no key for tenant acme of https://evil.example.org"},
		"nor by a variable":                                {url: "https://evil.example.org", tenant: "acme", want: "there is no key for tenant acme"},
		"nor by a context that is named beside the server": {place: Place{url: "https://evil.example.org", context: "b"}, want: "which tenant?"},
		"nor to another tenant":                            {place: Place{tenant: "other"}, want: "there is no key for tenant other"},
		"nor to a server whose name begins so":             {place: Place{url: a + ".evil.org", tenant: "acme"}, want: "there is no key"},
		"a key that is no file":                            {place: Place{keyFile: "/nowhere"}, want: "--key-file: open /nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			nobody(t)
			file, err := contexts.Load()
			if err != nil {
				t.Fatal(err)
			}
			file.Put(contexts.Context{Name: "b", URL: b, Tenant: "acme", Key: "kupe_b"})
			file.Put(contexts.Context{Name: "umbrella", URL: a, Tenant: "umbrella", Key: "kupe_umbrella"})
			file.Put(contexts.Context{Name: "acme", URL: a + "/", Tenant: "acme", Key: "kupe_acme"})
			if err := file.Save(); err != nil {
				t.Fatal(err)
			}
			t.Setenv(URLVariable, c.url)
			t.Setenv(TenantVariable, c.tenant)
			t.Setenv(KeyVariable, c.key)
			got := ""
			made, err := c.place.Client()
			if err != nil {
				got = err.Error()
			} else {
				got = strings.Replace(made.URL, a+"/", a, 1) + " " + made.Tenant + " " + made.Key
			}
			if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) || err != nil && strings.Contains(got, "kupe_") {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestWithoutAnythingItSaysHowToBegin(t *testing.T) {
	nobody(t)
	if _, err := new(Place).Client(); err == nil || !strings.Contains(err.Error(), "secretsync login URL --tenant TENANT") {
		t.Errorf("got %v", err)
	}
}

func TestAFileThatIsNoKeyIsNotReadToItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for content, want := range map[string]string{
		"kupe_ak-x_y\n":              "",
		" \n":                        "is empty",
		strings.Repeat("x", 1<<20):   "holds no key",
		"kupe_ak-x_y\nkupe_ak-z_z\n": "holds no key",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readKeyFile(path); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.20q of %d bytes: %v", content, len(content), err)
		}
	}
}

func TestTheEditorIsNotToldTheKey(t *testing.T) {
	t.Setenv(KeyVariable, "kupe_canary")
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", "code --wait")
	cmd := editorCommand("/tmp/db.yaml")
	if all := strings.Join(append(cmd.Env, cmd.Args...), "\n"); strings.Contains(all, "canary") || !strings.Contains(all, "PATH=") {
		t.Error("the key is in the editor's environment, or nothing is")
	}
	if got := strings.Join(cmd.Args, "|"); got != `sh|-c|code --wait "$@"|code --wait|/tmp/db.yaml` {
		t.Errorf("it is started as %s", got)
	}
}

func TestCompletionSaysNothingOfWhatFails(t *testing.T) {
	nobody(t)
	for name, url := range map[string]string{"no server": "", "a server that is not there": "http://127.0.0.1:1"} {
		t.Setenv(URLVariable, url)
		t.Setenv(TenantVariable, "acme")
		t.Setenv(KeyVariable, "kupe_canary")
		stdout, stderr, code := run(t, "", "__complete", "get", "")
		if code != 0 || !strings.HasPrefix(stdout, ":4") || strings.Contains(stdout+stderr, "canary") || strings.Contains(stderr, "refused") {
			t.Errorf("%s: %d\n%s%s", name, code, stdout, stderr)
		}
	}
}
