package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// theCommands calls visit with each command that people call.
func theCommands(visit func(*cobra.Command)) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() && c.Name() != "help" {
				visit(c)
				walk(c)
			}
		}
	}
	root := newRoot()
	root.InitDefaultCompletionCmd()
	walk(root)
}

func TestTheReferenceOfTheCommandsIsTheirs(t *testing.T) {
	const path, mark = "../../examples/cli/README.md", "UPDATE=1 writes it. -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, written, ok := strings.Cut(string(page), mark)
	if !ok {
		t.Fatalf("%s has no mark after which the reference follows", path)
	}
	var reference bytes.Buffer
	if err := writeReference(&reference, newRoot()); err != nil {
		t.Fatal(err)
	}
	if written == reference.String() {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("%s is not what the commands say; run: UPDATE=1 go test ./cmd/secretsync -run %s", path, t.Name())
	}
	if err := os.WriteFile(path, []byte(head+mark+reference.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEachCommandHasAManPageAndAnExampleThatIsRight(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("secretsync", "docs", "--man", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	theCommands(func(cmd *cobra.Command) {
		if strings.HasPrefix(cmd.CommandPath(), "secretsync completion") {
			return
		}
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"))
		if err != nil || !bytes.Contains(page, []byte(".SH SYNOPSIS")) {
			t.Errorf("%s: %v", cmd.CommandPath(), err)
		}
		if cmd.Long == "" && cmd.Parent().Name() != "context" {
			t.Errorf("%s has no long description", cmd.CommandPath())
		}
		if checkCommandLines(t, cmd.CommandPath(), strings.ReplaceAll("\n"+cmd.Example, "\n  ", "\n")) == 0 && cmd.Example != "" {
			t.Errorf("the example of %s calls something else", cmd.CommandPath())
		}
	})
}
