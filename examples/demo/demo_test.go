package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// The story checks itself, with the forge at its end.
func TestTheStoryEndsWell(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "secretsync")
	if output, err := exec.Command("go", "build", "-o", binary, "secretsync/cmd/secretsync").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if err := run(t.Context(), binary, true, false); err != nil {
		t.Fatal(err)
	}
}
