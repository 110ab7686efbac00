package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/terminal"
	"secretsync/httpapi/client"
)

func newDeletions() *cobra.Command {
	var release string
	var out form
	cmd := &cobra.Command{
		Use:   "deletions",
		Short: "List the copies whose deletion is held, or release them",
		Long: `List the Secrets that would be deleted if they were not too many at once.

A copy of a definition with deletionPolicy Delete goes with its target. Where a
change would delete more copies of the tenant than the server's configuration allows
(brake), none of them goes until an admin has looked at the list and released it.

With --release just the list of that id is released. If it is another one by now,
nothing is deleted, and the command fails.`,
		Example: `  secretsync deletions
  secretsync deletions --release 5e0c4f6f1f3a9d0b7c2e8a1d4b6f9e03`,
		Args: cobra.NoArgs,
	}
	online(cmd, "an admin key", func(s *session, _ []string) error {
		if release != "" {
			released, err := s.ReleaseDeletions(s.ctx, release)
			if err != nil {
				return err
			}
			for _, o := range released.Held {
				if err := s.printf("released %s\n", placeOfOrphan(o)); err != nil {
					return err
				}
			}
			return nil
		}
		list, err := s.ListDeletions(s.ctx)
		if err != nil {
			return err
		}
		switch out {
		case formJSON, formYAML:
			return s.encode(out, list.Raw)
		case formTable:
			if list.ID == "" {
				return s.printf("no deletion is held\n")
			}
			fmt.Fprintf(s.err, "list %s is held: %s; release it with: secretsync deletions --release %s\n", list.ID, terminal.Clean(list.Reason), list.ID)
		}
		return printList(s, out, list.Held, []string{"CLUSTER", "NAMESPACE", "SECRET", "DEFINITION", "COMMIT"}, func(o client.Orphan) (json.RawMessage, string, []terminal.Cell) {
			return o.Raw, placeOfOrphan(o), cells(o.Cluster, o.Namespace, secretOfOrphan(o), o.Definition, short(o.Commit))
		})
	})
	cmd.Flags().StringVar(&release, "release", "", "the id of the list whose copies are to be deleted")
	formFlag(cmd, &out, formTable, formJSON, formYAML, formName)
	return cmd
}
