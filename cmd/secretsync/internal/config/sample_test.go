package config

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Who begins with a sample may forget to put a key of his own in it. Nobody has the one that stands there, if its hash is that of
// nothing: of no word that people try.
func TestTheKeysOfTheSamplesAreNobodys(t *testing.T) {
	hash := regexp.MustCompile(`sha256:([0-9a-f]{64})`)
	pages, err := filepath.Glob("../../../../examples/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range append(pages, "../../../../README.md", "../../../../examples/secretsync.yaml", "../../../../examples/deploy/chart/values.yaml") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range hash.FindAllSubmatch(content, -1) {
			found++
			for _, word := range []string{"", "test", "secret", "password", "example", "key", "admin", "acme", "secretsync", "foo", "hello", "changeme", "x"} {
				if sum := sha256.Sum256([]byte(word)); hex.EncodeToString(sum[:]) == string(m[1]) {
					t.Errorf("%s admits who shows the secret %q", path, word)
				}
			}
		}
	}
	if found < 2 {
		t.Errorf("found %d hashes", found)
	}
}
