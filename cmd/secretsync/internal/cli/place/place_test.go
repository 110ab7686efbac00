package place

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhichServerAndAsWhom(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte("kupe_file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const a, b = "https://a.example.org", "https://b.example.org"
	for name, c := range map[string]struct {
		place            Flags
		url, tenant, key string // of the variables
		want             string // URL, tenant and key, or what the error says
	}{
		"the current context":                              {want: a + " acme kupe_acme"},
		"another context":                                  {place: Flags{context: "b"}, want: b + " acme kupe_b"},
		"another context, whatever the variables say":      {place: Flags{context: "b"}, url: a, tenant: "x", key: "kupe_env", want: b + " acme kupe_b"},
		"a context that there is none of":                  {place: Flags{context: "c"}, want: `there is no context "c"; there is acme, b, umbrella`},
		"the variables":                                    {url: b, tenant: "umbrella", key: "kupe_env", want: b + " umbrella kupe_env"},
		"the flags before the variables":                   {place: Flags{url: b, tenant: "acme", keyFile: keyFile}, url: a, tenant: "x", key: "kupe_env", want: b + " acme kupe_file"},
		"the key of the server that is named":              {place: Flags{url: b + "/", tenant: "acme"}, want: b + "/ acme kupe_b"},
		"the key of the tenant that is named":              {place: Flags{tenant: "umbrella"}, want: a + " umbrella kupe_umbrella"},
		"a key goes to no other server":                    {place: Flags{url: "https://evil.example.org", tenant: "acme"}, want: "there is no key for tenant acme of https://evil.example.org"},
		"nor by a variable":                                {url: "https://evil.example.org", tenant: "acme", want: "there is no key for tenant acme"},
		"nor by a context that is named beside the server": {place: Flags{url: "https://evil.example.org", context: "b"}, want: "which tenant?"},
		"nor to another tenant":                            {place: Flags{tenant: "other"}, want: "there is no key for tenant other"},
		"nor to a server whose name begins so":             {place: Flags{url: a + ".evil.org", tenant: "acme"}, want: "there is no key"},
		"a key that is no file":                            {place: Flags{keyFile: "/nowhere"}, want: "--key-file: open /nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			nobody(t)
			file, err := Load()
			if err != nil {
				t.Fatal(err)
			}
			file.Put(Context{Name: "b", URL: b, Tenant: "acme", Key: "kupe_b"})
			file.Put(Context{Name: "umbrella", URL: a, Tenant: "umbrella", Key: "kupe_umbrella"})
			file.Put(Context{Name: "acme", URL: a + "/", Tenant: "acme", Key: "kupe_acme"})
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
	if _, err := new(Flags).Client(); err == nil || !strings.Contains(err.Error(), "secretsync login URL --tenant TENANT") {
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

// nobody makes sure that no variable and no context of who runs the tests counts.
func nobody(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, variable := range []string{URLVariable, TenantVariable, KeyVariable} {
		t.Setenv(variable, "")
	}
}
