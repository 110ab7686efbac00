package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"secretsync/gitstore/definition"
)

func newValidate() *cobra.Command {
	var most int
	cmd := &cobra.Command{
		Use:   "validate DIR",
		Short: "Check the definitions in a checkout",
		Long: `Check the definitions in a checkout of a tenant's repository as the server would
read them. Each mistake is a line "file:line: cause" on the standard output; the
exit code is 1 if there is one.`,
		Example: `  secretsync validate .`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := definition.ValidateDir(os.DirFS(args[0]), most)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			for _, problem := range report.Problems {
				fmt.Fprintln(cmd.OutOrStdout(), problem)
			}
			if len(report.Problems) > 0 {
				return errReported
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d definitions, no mistake\n", args[0], report.Definitions)
			return err
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	cmd.Flags().IntVar(&most, "definitions", 0, "the server's limit of definitions a tenant (default 1000)")
	return cmd
}
