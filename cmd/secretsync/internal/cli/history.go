package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/terminal"
	"secretsync/httpapi/client"
)

func newHistory() *cobra.Command {
	var patches bool
	var limit int
	var out form
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show the commits that changed a definition, newest first",
		Long: `Show the commits that changed a definition, newest first: who, when, and whether
through the API or by git. With --patch also what each changed, comments and all.
What one of them did is undone by revert.`,
		Example: `  secretsync history db-password
  secretsync history db-password --patch --limit 1`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames(1),
	}
	online(cmd, "a readonly key", func(s *session, names []string) error {
		return s.history(names[0], limit, patches, out)
	})
	cmd.Flags().BoolVarP(&patches, "patch", "p", false, "show what each commit changed")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many commits; 0 is all")
	formFlag(cmd, &out, formTable, formJSON, formYAML)
	return cmd
}

// pageOfHistory is how many commits are asked for at once.
const pageOfHistory = 100

func (s *session) history(name string, limit int, patches bool, out form) error {
	if limit < 0 {
		return fmt.Errorf("--limit: %d is less than none", limit)
	}
	most := 0
	if limit > 0 {
		most = limit + 1 // a patch is against the commit before
	}
	commits, err := s.commits(name, most)
	if err != nil {
		return err
	}
	shown := commits
	if limit > 0 && len(commits) > limit {
		shown = commits[:limit]
	}
	switch {
	case out != formTable:
		items := make([]json.RawMessage, len(shown))
		for i := range shown {
			items[i] = shown[i].Raw
		}
		return s.encodeItems(out, items)
	case !patches:
		table := &terminal.Table{Header: []string{"COMMIT", "WHEN", "WHO", "VIA", "WHAT"}}
		for _, c := range shown {
			subject, _, _ := strings.Cut(c.Message, "\n")
			table.Add(short(c.SHA), s.ago(c.Time), c.Author, c.Via, subject)
		}
		return s.out.Print(table)
	}
	return s.printPatches(name, commits, len(shown))
}

// textAt returns a definition's file as a commit left it; nothing if it removed it.
func (s *session) textAt(name, commit string) ([]byte, error) {
	file, err := s.GetFile(s.ctx, name, commit)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimPrefix([]byte(file.Content), []byte("\ufeff")), nil
}

// commits returns the newest commits that changed a definition, so many at least if
// there are; all if most is 0.
func (s *session) commits(name string, most int) (all []client.Commit, err error) {
	for cursor := ""; ; {
		page, err := s.GetHistory(s.ctx, name, pageOfHistory, cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" || most > 0 && len(all) >= most {
			return all, nil
		}
	}
}

// printPatches shows commits with what each changed of the definition's file.
func (s *session) printPatches(name string, commits []client.Commit, shown int) error {
	after, err := []byte(nil), error(nil)
	for i := range shown {
		c := commits[i]
		if i == 0 {
			if after, err = s.textAt(name, c.SHA); err != nil {
				return err
			}
		}
		var before []byte
		if i+1 < len(commits) {
			if before, err = s.textAt(name, commits[i+1].SHA); err != nil {
				return err
			}
		}
		if err := s.out.Paint(terminal.Yellow, "commit "+c.SHA); err != nil {
			return err
		}
		message := strings.ReplaceAll(strings.TrimRight(c.Message, "\n"), "\n", "\n    ")
		if err := s.printf("\nAuthor: %s\nDate:   %s\nVia:    %s\n\n    %s\n\n", terminal.Line(c.Author), c.Time.UTC().Format(time.RFC3339), c.Via, message); err != nil {
			return err
		}
		if text := terminal.Unified("a/secrets/"+name+".yaml", "b/secrets/"+name+".yaml", before, after); text != "" {
			if err := s.out.Diff(text); err != nil {
				return err
			}
		}
		if i+1 < shown {
			fmt.Fprintln(s.out)
		}
		after = before
	}
	return nil
}

func isNotFound(err error) bool { return client.StatusOf(err) == http.StatusNotFound }
