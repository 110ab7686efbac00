package main

import (
	"fmt"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// orphan is what the API tells of a copy that no definition claims any more.
type orphan struct {
	Cluster    string
	Namespace  string
	SecretName string
	Definition string
	SecretPath string
	Commit     string
	Doubt      string // why it is not proven to be one; it is not deleted then
}

func (o *orphan) place() string { return o.Cluster + "/" + o.Namespace + "/" + o.SecretName }

func newOrphans() *cobra.Command {
	var c clientFlags
	var remove bool
	cmd := &cobra.Command{
		Use:   "orphans --url URL --tenant TENANT --key-file FILE",
		Short: "List the copies that no definition claims any more, or delete them",
		Long: `List the Secrets that a tenant's definitions once brought into its clusters and
that none of them claims any more. They stay, with their labels, until somebody
deletes them: a workload may still use them.

Some are in doubt: a Secret that was edited or copied from elsewhere, or whose
commit is not in the branch's history. They are listed with the reason.

With --delete those that are listed are deleted, each only if it still is an
orphan and there is no doubt. Without it nothing is changed.`,
		Example: `  secretsync orphans --url https://secretsync.example.org --tenant acme --key-file key
  secretsync orphans --url https://secretsync.example.org --tenant acme --key-file key --delete`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list struct{ Items []orphan }
			if err := c.Call(cmd.Context(), http.MethodGet, "/orphans", nil, &list); err != nil {
				return err
			}
			if !remove {
				return printOrphans(cmd, list.Items)
			}
			failed, doubted := 0, 0
			for _, o := range list.Items {
				if o.Doubt != "" {
					doubted++
					fmt.Fprintf(cmd.OutOrStdout(), "kept %s: %s\n", o.place(), o.Doubt)
					continue
				}
				if err := c.Call(cmd.Context(), http.MethodDelete, "/orphans/"+o.place(), nil, nil); err != nil {
					failed++
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", o.place(), err)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "deleted %s\n", o.place())
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%d deleted, %d left\n", len(list.Items)-failed-doubted, failed+doubted); err != nil || failed == 0 {
				return err
			}
			return errReported
		},
	}
	c.bind(cmd, "an admin key")
	cmd.Flags().BoolVar(&remove, "delete", false, "delete what is listed")
	return cmd
}

func printOrphans(cmd *cobra.Command, orphans []orphan) error {
	if len(orphans) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "every copy is claimed by a definition")
		return err
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CLUSTER\tNAMESPACE\tSECRET\tDEFINITION\tCOMMIT\tDOUBT")
	for _, o := range orphans {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.10s\t%s\n", o.Cluster, o.Namespace, o.SecretName, o.Definition, o.Commit, o.Doubt)
	}
	return table.Flush()
}
