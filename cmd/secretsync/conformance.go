package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli"
	"secretsync/cmd/secretsync/internal/cli/place"
	"secretsync/httpapi/conformance"
)

func newConformance() *cobra.Command {
	var at place.Flags
	var verbose bool
	cmd := &cobra.Command{
		Use:   "conformance",
		Short: "Hold a server to each sentence of the HTTP contract",
		Long: `Make the calls of the HTTP contract against a running server and check its
answers. What is created is deleted again; the commits remain in the tenant's
repository. No target names a cluster that exists, so nothing is synced.

The key is an admin key of the tenant. A line is printed for each sentence that
does not hold; the exit code is 1 if there is one.`,
		Example: `  secretsync conformance --url https://secretsync.example.org --tenant acme --key-file key`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := at.Client()
			if err != nil {
				return err
			}
			suite := conformance.Suite{URL: c.URL, Tenant: c.Tenant, Key: c.Key}
			out := cmd.OutOrStdout()
			held := 0
			failed, err := suite.Run(cmd.Context(), func(check conformance.Check) {
				switch {
				case check.Err != nil:
					fmt.Fprintf(out, "does not hold: %s\n\t%s\n", check.Name, strings.ReplaceAll(check.Err.Error(), "\n", "\n\t"))
				case verbose:
					fmt.Fprintf(out, "holds: %s\n", check.Name)
				}
				if check.Err == nil {
					held++
				}
			})
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(out, "%d sentences hold, %d do not\n", held, failed); err != nil || failed == 0 {
				return err
			}
			return cli.ErrReported
		},
	}
	at.Bind(cmd, "an admin key")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also print what holds")
	return cmd
}
