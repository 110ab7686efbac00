package server

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/httpapi/forward/forwardtest"
)

// What keeps a server from starting is told by --check.
func TestWhatKeepsAServerFromStartingIsFoundByACheck(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	word := write("word", "x")
	authority, err := forwardtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	another, err := forwardtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	replicas := func(files forwardtest.Files, err error) *config.Replicas {
		if err != nil {
			t.Fatal(err)
		}
		return &config.Replicas{CertFile: files.Cert, KeyFile: files.Key, CAFile: files.CA}
	}
	good, stranger := replicas(authority.Issue(t.TempDir())), replicas(another.Issue(t.TempDir()))
	stranger.CAFile = good.CAFile
	for name, c := range map[string]struct {
		cfg  config.Config
		want string
	}{
		"nothing":                      {config.Config{DataDir: filepath.Join(dir, "data"), HashKeyFile: write("hash.key", strings.Repeat("6", 64))}, ""},
		"a hash key that is too short": {config.Config{HashKeyFile: word}, "has 1 bytes; it needs at least 32"},
		"a folder for a hash key":      {config.Config{HashKeyFile: dir}, "is a directory"},
		"a certificate that is none":   {config.Config{TLSCert: word, TLSKey: word}, "tls: certificate " + word + " with key " + word + ": tls: failed to find any PEM data"},
		"a certificate for both ends":  {config.Config{Replicas: good}, ""},
		"one for one end only":         {config.Config{Replicas: replicas(authority.IssueFor(t.TempDir(), x509.ExtKeyUsageServerAuth))}, "replicas: other replicas will not let this one in, nor ask it: "},
		"one of another authority":     {config.Config{Replicas: stranger}, "certificate signed by unknown authority"},
		"one that is none":             {config.Config{Replicas: &config.Replicas{CertFile: word, KeyFile: word, CAFile: good.CAFile}}, "replicas: certificate " + word},
		"an authority that is none":    {config.Config{Replicas: &config.Replicas{CertFile: good.CertFile, KeyFile: good.KeyFile, CAFile: word}}, "there is no certificate in it"},
		"a newer data folder":          {config.Config{DataDir: filepath.Dir(write("newer/format", "2"))}, "is of format 2, and this version of secretsync knows format 1"},
		"a file for a data folder":     {config.Config{DataDir: word}, "not a directory"},
	} {
		if err := Check(&c.cfg); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
