package parse

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/corpus"
)

// Whatever the bytes are, reading them ends in a definition, or in errors that name
// file, line and cause. That it can be written and read back is for the package edit to
// show.
func FuzzParse(f *testing.F) {
	for _, content := range corpus.Seeds() {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		_, err := File("secrets/db-password.yaml", content)
		checkPlain(t, content)
		if err != nil {
			checkErrors(t, content, err)
		}
	})
}

// checkPlain holds that what the quick parser reads, the full one reads the same.
func checkPlain(t *testing.T, content []byte) {
	t.Helper()
	quick, ok := parsePlain(content)
	if !ok {
		return
	}
	full, err := Read(content)
	if err != nil {
		t.Fatalf("read quickly as %v, but: %v\n%s", quick, err, content)
	}
	if d := full.Definition; d.Name != quick.Name || d.SecretPath != quick.SecretPath || !slices.Equal(d.Sync, quick.Sync) {
		t.Fatalf("read quickly as %v, and as %v\n%s", quick, d, content)
	}
}

func checkErrors(t *testing.T, content []byte, err error) {
	t.Helper()
	var all definition.FileErrors
	if !errors.As(err, &all) || len(all) == 0 || !errors.Is(err, definition.ErrInvalid) {
		t.Fatalf("error of an unexpected type: %v", err)
	}
	for _, e := range all {
		if e.Cause == causeOfFault {
			t.Fatalf("reading panicked: %q", content)
		}
		if e.Line < 0 || e.Line > bytes.Count(content, []byte("\n"))+1 || e.Cause == "" || strings.ContainsAny(e.Cause, "\n\r\x00") || len(e.Cause) > 800 {
			t.Fatalf("error that serves nobody: %q", e)
		}
	}
}
