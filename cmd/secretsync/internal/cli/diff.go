package cli

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/manifest"
	"secretsync/cmd/secretsync/internal/cli/terminal"
)

// unified returns the difference of two texts, without the line that names the
// command; empty if there is none.
func unified(oldName, newName string, old, new []byte) string {
	text := string(diff.Diff(oldName, old, newName, new))
	if _, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(text, "diff ") {
		text = rest
	}
	return strings.TrimRight(text, "\n")
}

// printDiff prints a difference, with what goes and what comes in colours.
func (s *session) printDiff(text string) error {
	for line := range strings.Lines(text + "\n") {
		style := terminal.Plain
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			style = terminal.Bold
		case strings.HasPrefix(line, "-"):
			style = terminal.Red
		case strings.HasPrefix(line, "+"):
			style = terminal.Green
		case strings.HasPrefix(line, "@@"):
			style = terminal.Cyan
		}
		line = strings.TrimSuffix(line, "\n")
		if err := s.out.Paint(style, line); err != nil {
			return err
		}
		if err := s.printf("\n"); err != nil {
			return err
		}
	}
	return nil
}

func newDiff() *cobra.Command {
	var file string
	var prune bool
	cmd := &cobra.Command{
		Use:   "diff -f FILE|DIR",
		Short: "Show how files differ from the definitions that stand",
		Long: `Show, as a unified diff, how the definitions of a file or a folder differ from
those that the tenant has: what apply would change. The exit code is 2 if they do.
plan says what that comes to in the clusters.`,
		Example: `  secretsync diff -f secrets/`,
		Args:    cobra.NoArgs,
	}
	online(cmd, "a readonly key", func(s *session, _ []string) error {
		changes, err := s.compare(file, prune)
		if err != nil {
			return err
		}
		for _, c := range changes {
			before, after := yamlOf(c.before), yamlOf(c.after)
			if err := s.printDiff(unified("server/"+c.name, "file/"+c.name, before, after)); err != nil {
				return err
			}
		}
		if len(changes) > 0 {
			return answeredNo
		}
		return nil
	})
	fileFlag(cmd, &file, "a file, a folder of files, or - for the standard input")
	cmd.Flags().BoolVar(&prune, "prune", false, "also those that the tenant has and the files don't")
	return cmd
}

func yamlOf(d *manifest.Definition) []byte {
	if d == nil {
		return nil
	}
	return d.YAML()
}
