package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// Who runs the backup of the page as a script, from cron, learns by its exit code whether he has one.
func TestABackupThatIsIncompleteSaysSo(t *testing.T) {
	script, _ := recoveryPage(t)
	for name, c := range map[string]struct {
		repository string // a folder, or none
		right      bool
	}{
		"a repository that git does not read": {"acme.git", false}, // as is one of another user
		"no repository":                       {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "data/repositories", c.repository), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "data/hash.key"), []byte("0"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("bash", "-c", script)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if (err == nil) != c.right {
				t.Fatalf("it ends with %v:\n%s", err, out)
			}
			if !c.right {
				return
			}
			var made []string
			if err := filepath.WalkDir(filepath.Join(dir, "backup"), func(path string, e os.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					made = append(made, e.Name())
				}
				return err
			}); err != nil || !slices.Equal(made, []string{"keys.tar"}) {
				t.Errorf("it holds %q (%v)", made, err)
			}
		})
	}
}
