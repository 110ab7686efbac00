package place

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestContextsAreKeptWhereNobodyElseReadsThem(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	f, err := Load()
	if err != nil || len(f.Contexts) != 0 {
		t.Fatalf("%+v, %v", f, err)
	}
	f.Put(Context{"umbrella", "https://b.example.org", "umbrella", "kupe_b"})
	f.Put(Context{"acme", "https://a.example.org", "acme", "kupe_old"})
	f.Put(Context{"acme", "https://a.example.org", "acme", "kupe_a"})
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "secretsync", "contexts.yaml")
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("there is %v besides", left)
	}
	if f, err = Load(); err != nil || !slices.Equal(f.Names(), []string{"acme", "umbrella"}) {
		t.Fatalf("%+v, %v", f, err)
	}
	if c, ok := f.Find(""); !ok || c.Key != "kupe_a" {
		t.Errorf("the current one is %+v", c)
	}
	if _, ok := f.Find("nobody"); ok || f.Remove("nobody") {
		t.Error("there is a context nobody")
	}
	if !f.Remove("acme") || f.Current != "" {
		t.Errorf("%+v", f)
	}
	if _, ok := f.Find(""); ok {
		t.Error("one that was removed is in use")
	}
}

func TestAFileThatIsNotRightIsRefusedWithoutItsKey(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"others may read it":        {"contexts: []\n", 0o644, "run: chmod 600"},
		"its group may read it":     {"contexts: []\n", 0o640, "(mode 0640)"},
		"no YAML":                   {"key: [kupe_canary", 0o600, "can't be understood"},
		"a field that is not known": {"contexts: [{kupe_canary: x}]\n", 0o600, "can't be understood"},
		"a value of another type":   {"contexts: kupe_canary\n", 0o600, "can't be understood"},
		"far too long":              {strings.Repeat("#\n", mostOfFile), 0o600, "can't be understood"},
		"nothing at all":            {"", 0o600, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_CONFIG_HOME", t.TempDir())
			path, err := Path()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
				t.Fatal(err)
			}
			_, err = Load()
			if (err != nil) != (c.want != "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWhereTheFileIs(t *testing.T) {
	t.Setenv("HOME", "/home/dana")
	for xdg, want := range map[string]string{"": "/home/dana/.config", "relative": "/home/dana/.config", "/etc/x": "/etc/x"} {
		t.Setenv("XDG_CONFIG_HOME", xdg)
		if got, err := Path(); err != nil || got != want+"/secretsync/contexts.yaml" {
			t.Errorf("%q: %s, %v", xdg, got, err)
		}
	}
}
