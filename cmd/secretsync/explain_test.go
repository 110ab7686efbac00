package main

import (
	"bytes"
	"os"
	"testing"
)

// The page is what the command writes; make it anew with
// go run ./cmd/secretsync explain --markdown > examples/reasons/README.md.
func TestThePageOfReasonsIsWhatTheCommandSays(t *testing.T) {
	page, err := os.ReadFile("../../examples/reasons/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := writeReasonsPage(&want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, want.Bytes()) {
		t.Error("examples/reasons/README.md is not what secretsync explain --markdown writes; make it anew")
	}
}
