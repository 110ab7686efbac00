package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

// draft is a file that a person edits. It is in a folder that nobody else can look
// into, under a name that editors know the kind of.
type draft struct{ dir, path string }

func newDraft(name string) (*draft, error) {
	dir, err := os.MkdirTemp("", "secretsync-edit-")
	if err != nil {
		return nil, err
	}
	return &draft{dir, filepath.Join(dir, filepath.Base(name)+".yaml")}, nil
}

// remove takes the file away; it is kept where a person's work would be lost.
func (d *draft) remove() { _ = os.RemoveAll(d.dir) }

// edit has the editor of VISUAL or EDITOR change text, and returns what it left.
func (s *session) edit(d *draft, text []byte) ([]byte, error) {
	if err := os.WriteFile(d.path, text, 0o600); err != nil {
		return nil, err
	}
	// Ctrl-C is the editor's while it has the terminal.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	editor := editorCommand(d.path)
	editor.Stdin, editor.Stdout, editor.Stderr = s.in, os.Stdout, os.Stderr
	if err := editor.Run(); err != nil {
		return nil, fmt.Errorf("the editor ended with %w; nothing is changed, and what you wrote is in %s. Another editor is named by the variable EDITOR", err, d.path)
	}
	return os.ReadFile(d.path)
}

// editorCommand runs the editor as git does: through a shell if it comes with arguments
// or whatever else a shell understands, and else without one, which Ctrl-C would end. It is not told the
// key, which is no business of an editor's and of what that starts.
func editorCommand(path string) *exec.Cmd {
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
		if !strings.HasPrefix(variable, KeyVariable+"=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}

// heading writes lines as comments.
func heading(lines ...string) []byte {
	var b bytes.Buffer
	for _, line := range lines {
		for part := range strings.SplitSeq(line, "\n") {
			b.WriteString(strings.TrimRight("# "+part, " ") + "\n")
		}
	}
	b.WriteString("#\n")
	return b.Bytes()
}

var errGivenUp = errors.New("given up; nothing is changed")
