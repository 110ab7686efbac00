package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
		c := clientFlags{keyFile: path}
		if err := c.readKey(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.20q of %d bytes: %v", content, len(content), err)
		}
	}
}
