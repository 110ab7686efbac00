package refs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/gitstore/internal/gitdir/disk"
)

// Whatever stands in packed-refs, a branch is found in it exactly if a line of
// its own says so.
func FuzzPackedRefs(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add("# pack-refs with: peeled fully-peeled sorted \n" + id + " refs/heads/main\n")
	f.Add(id + " refs/heads/main\n^" + id + "\n" + id + " refs/tags/v1\n^" + id + "\n")
	f.Add(id + " refs/heads/mainly\n" + id + "  refs/heads/main\n" + id + "\trefs/heads/main\r\n")
	f.Add("refs/heads/main " + id)
	f.Add(id[1:] + " refs/heads/main")
	f.Fuzz(func(t *testing.T, content string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"HEAD": "ref: refs/heads/main\n", "packed-refs": content} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := (&Ref{FS: disk.OS{}, Repo: dir, Name: "refs/heads/main"}).Read()
		if err != nil || got.IsZero() {
			return
		}
		for line := range strings.Lines(content) {
			if digits, name, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " "); name == "refs/heads/main" && strings.EqualFold(digits, got.String()) {
				return
			}
		}
		t.Errorf("%s is nowhere in %q", got, content)
	})
}
