package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/terminal"
	"secretsync/httpapi/client"
)

func newClusters() *cobra.Command {
	var out form
	cmd := &cobra.Command{
		Use:     "clusters",
		Short:   "List the clusters that the tenant may sync to",
		Long:    `List the clusters that are registered for the tenant, and whether they are reached.`,
		Example: `  secretsync clusters`,
		Args:    cobra.NoArgs,
	}
	online(cmd, "a readonly key", func(s *session, _ []string) error {
		clusters, err := s.ListClusters(s.ctx)
		if err != nil {
			return err
		}
		return printList(s, out, clusters.Items, []string{"NAME", "PHASE", "KUBERNETES"}, func(c client.Cluster) (json.RawMessage, string, []terminal.Cell) {
			return c.Raw, c.Name, []terminal.Cell{{Text: c.Name}, phaseCell(c.Status.Phase), {Text: c.Status.KubernetesVersion}}
		})
	})
	formFlag(cmd, &out, formTable, formJSON, formYAML, formName)
	return cmd
}

// printList prints what is no definition in any form.
func printList[T any](s *session, out form, values []T, header []string, row func(T) (raw json.RawMessage, name string, cells []terminal.Cell)) error {
	switch out {
	case formJSON, formYAML:
		items := make([]json.RawMessage, len(values))
		for i, v := range values {
			items[i], _, _ = row(v)
		}
		return s.encodeItems(out, items)
	case formName:
		for _, v := range values {
			_, name, _ := row(v)
			if err := s.printf("%s\n", terminal.Line(name)); err != nil {
				return err
			}
		}
		return nil
	}
	table := &terminal.Table{Header: header}
	for _, v := range values {
		_, _, cells := row(v)
		table.Rows = append(table.Rows, cells)
	}
	return s.out.Print(table)
}

func cells(texts ...string) []terminal.Cell {
	row := make([]terminal.Cell, len(texts))
	for i, text := range texts {
		row[i].Text = text
	}
	return row
}

func newProposals() *cobra.Command {
	var out form
	cmd := &cobra.Command{
		Use:     "proposals",
		Short:   "List the changes that wait in pull requests",
		Long:    `List the changes that were proposed as pull requests, newest first, and what became of them.`,
		Example: `  secretsync proposals`,
		Args:    cobra.NoArgs,
	}
	online(cmd, "a readonly key", func(s *session, _ []string) error {
		proposals, err := s.ListProposals(s.ctx)
		if err != nil {
			return err
		}
		if proposals.Problem != "" {
			s.warn([]string{proposals.Problem})
		}
		return printList(s, out, proposals.Items, []string{"NUMBER", "STATE", "AGE", "WHO", "WHAT", "URL"}, func(p client.Proposal) (json.RawMessage, string, []terminal.Cell) {
			who := "-"
			if p.ProposedBy != nil {
				who = p.ProposedBy.Name
			}
			return p.Raw, p.URL, cells(fmt.Sprint(p.Number), p.State, s.age(p.ProposedAt), who, p.Title, p.URL)
		})
	})
	formFlag(cmd, &out, formTable, formJSON, formYAML, formName)
	return cmd
}

func newKeys() *cobra.Command {
	var out form
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "List, make and revoke the tenant's API keys",
		Long: `List the tenant's API keys: who has them, what they may do, and when they were
last used. The keys themselves are kept nowhere. For those that stand in the
server's configuration see key new.`,
		Example: `  secretsync keys
  secretsync keys create --name "Deploy pipeline" --expires 2027-01-31T00:00:00Z > key`,
		Args: cobra.NoArgs,
	}
	online(cmd, "an admin key", func(s *session, _ []string) error {
		keys, err := s.ListKeys(s.ctx)
		if err != nil {
			return err
		}
		return printList(s, out, keys.Items, []string{"ID", "ROLE", "NAME", "CREATED BY", "AGE", "LAST USED", "EXPIRES"}, func(k client.Key) (json.RawMessage, string, []terminal.Cell) {
			used, ends := s.ago(k.LastUsedAt), "never"
			if !k.ExpiresAt.IsZero() {
				ends = k.ExpiresAt.UTC().Format(time.RFC3339)
			}
			return k.Raw, k.ID, cells(k.ID, k.Role, k.DisplayName, k.CreatedBy, s.age(k.CreatedAt), used, ends)
		})
	})
	formFlag(cmd, &out, formTable, formJSON, formYAML, formName)
	cmd.AddCommand(newKeysCreate(), newKeysRevoke())
	return cmd
}

func newKeysCreate() *cobra.Command {
	var request client.KeyRequest
	var expires string
	cmd := &cobra.Command{
		Use:   "create --name NAME",
		Short: "Make a key, which is printed this once",
		Long: `Make an API key of the tenant. It is the one thing on the standard output, this
once: keep it in a file of mode 0600, or hand it to what needs it.`,
		Example: `  secretsync keys create --name "Deploy pipeline" > key`,
		Args:    cobra.NoArgs,
	}
	online(cmd, "an admin key", func(s *session, _ []string) error {
		if expires != "" {
			at, err := time.Parse(time.RFC3339, expires)
			if err != nil {
				return fmt.Errorf("--expires: %q is not a time such as 2027-01-31T00:00:00Z", expires)
			}
			request.ExpiresAt = &at
		}
		made, err := s.CreateKey(s.ctx, request)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.err, "key %s, %s, of %s; it is shown this once:\n", made.ID, made.Role, made.DisplayName)
		return s.printf("%s\n", made.Plaintext)
	})
	cmd.Flags().StringVar(&request.DisplayName, "name", "", "who holds the key; becomes the author of its commits")
	cmd.Flags().StringVar(&request.Role, "role", "readonly", `what it may do: "admin", "readonly" or "sync"`)
	cmd.Flags().StringVar(&expires, "expires", "", "when it ends, RFC 3339 (default never)")
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"admin", "readonly", "sync"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newKeysRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "revoke ID...",
		Short:             "Revoke keys, in force at once",
		Long:              `Revoke API keys of the tenant, by their ids. They are refused from that moment on.`,
		Example:           `  secretsync keys revoke ak-k5xw2b7q3mzt`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeKeys,
	}
	return online(cmd, "an admin key", func(s *session, ids []string) error {
		for _, id := range ids {
			if err := s.DeleteKey(s.ctx, id); err != nil {
				return err
			}
			if err := s.printf("%s is revoked\n", id); err != nil {
				return err
			}
		}
		return nil
	})
}

func newOrphans() *cobra.Command {
	var remove bool
	var out form
	cmd := &cobra.Command{
		Use:   "orphans",
		Short: "List the copies that no definition claims any more, or delete them",
		Long: `List the Secrets that a tenant's definitions once brought into its clusters and
that none of them claims any more. They stay, with their labels, until somebody
deletes them: a workload may still use them.

Some are in doubt: a Secret that was edited or copied from elsewhere, or whose
commit is not in the branch's history. They are listed with the reason.

With --delete those that are listed are deleted, each only if it still is an
orphan and there is no doubt. Without it nothing is changed.`,
		Example: `  secretsync orphans
  secretsync orphans --delete`,
		Args: cobra.NoArgs,
	}
	online(cmd, "an admin key", func(s *session, _ []string) error {
		list, err := s.ListOrphans(s.ctx)
		if err != nil {
			return err
		}
		switch {
		case remove:
			return s.deleteOrphans(list.Items)
		case len(list.Items) == 0 && out == formTable:
			return s.printf("every copy is claimed by a definition\n")
		}
		return printList(s, out, list.Items, []string{"CLUSTER", "NAMESPACE", "SECRET", "DEFINITION", "COMMIT", "DOUBT"}, func(o client.Orphan) (json.RawMessage, string, []terminal.Cell) {
			return o.Raw, placeOfOrphan(o), cells(o.Cluster, o.Namespace, secretOfOrphan(o), o.Definition, short(o.Commit), o.Doubt)
		})
	})
	cmd.Flags().BoolVar(&remove, "delete", false, "delete what is listed")
	formFlag(cmd, &out, formTable, formJSON, formYAML, formName)
	return cmd
}

func placeOfOrphan(o client.Orphan) string {
	place := o.Cluster + "/" + o.Namespace + "/" + o.SecretName
	if o.Keys != nil {
		place += "#" + o.Definition // its keys alone
	}
	return place
}

// secretOfOrphan names the Secret, and the keys of it where only those are meant.
func secretOfOrphan(o client.Orphan) string {
	if o.Keys == nil {
		return o.SecretName
	}
	return o.SecretName + " (" + strings.Join(o.Keys, ", ") + ")"
}

func (s *session) deleteOrphans(orphans []client.Orphan) error {
	failed, doubted := 0, 0
	for _, o := range orphans {
		if o.Doubt != "" {
			doubted++
			if err := s.printf("kept %s: %s\n", placeOfOrphan(o), o.Doubt); err != nil {
				return err
			}
			continue
		}
		if err := s.DeleteOrphan(s.ctx, o); err != nil {
			failed++
			fmt.Fprintf(s.err, "%s: %v\n", placeOfOrphan(o), err)
			continue
		}
		if err := s.printf("deleted %s\n", placeOfOrphan(o)); err != nil {
			return err
		}
	}
	if err := s.printf("%d deleted, %d left\n", len(orphans)-failed-doubted, failed+doubted); err != nil || failed == 0 {
		return err
	}
	return ErrReported
}
