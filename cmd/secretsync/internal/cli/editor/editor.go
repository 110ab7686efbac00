// Package editor owns how a person changes a text in the editor of their choice.
package editor

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"secretsync/cmd/secretsync/internal/cli/place"
)

// Draft is a file that a person edits. It is in a folder that nobody else can look
// into, under a name that editors know the kind of.
type Draft struct{ dir, Path string }

// New makes a draft of a definition of that name.
func New(name string) (*Draft, error) {
	dir, err := os.MkdirTemp("", "secretsync-edit-")
	if err != nil {
		return nil, err
	}
	return &Draft{dir, filepath.Join(dir, filepath.Base(name)+".yaml")}, nil
}

// Remove takes the file away; it is kept where a person's work would be lost.
func (d *Draft) Remove() { _ = os.RemoveAll(d.dir) }

// Edit has the editor of VISUAL or EDITOR change text, and returns what it left.
func (d *Draft) Edit(text []byte, in io.Reader) ([]byte, error) {
	if err := os.WriteFile(d.Path, text, 0o600); err != nil {
		return nil, err
	}
	// Ctrl-C is the editor's while it has the terminal.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	editor := command(d.Path)
	editor.Stdin, editor.Stdout, editor.Stderr = in, os.Stdout, os.Stderr
	if err := editor.Run(); err != nil {
		return nil, fmt.Errorf("the editor ended with %w; nothing is changed, and what you wrote is in %s. Another editor is named by the variable EDITOR", err, d.Path)
	}
	return os.ReadFile(d.Path)
}

// command runs the editor as git does: through a shell if it comes with arguments
// or whatever else a shell understands, and else without one, which Ctrl-C would end. It is not told the
// key, which is no business of an editor's and of what that starts.
func command(path string) *exec.Cmd {
	editor := "vi"
	for _, variable := range []string{"VISUAL", "EDITOR"} {
		if value := os.Getenv(variable); value != "" {
			editor = value
			break
		}
	}
	cmd := exec.Command(editor, path)
	if strings.ContainsAny(editor, "|&;<>()$`\\\"' \t\n*?[#~=%") {
		cmd = exec.Command("sh", "-c", editor+` "$@"`, editor, path)
	}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, place.KeyVariable+"=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}
