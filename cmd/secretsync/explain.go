package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/reconcile/fault"
)

func newExplain() *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "explain [REASON]",
		Short: "Say what a status reason means, where it comes from and what to do",
		Long: `Say what the reason of a status means, where it comes from and what to do about
it. Without a reason all of them are listed.`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return reasonNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			switch {
			case markdown:
				return writeReasonsPage(out)
			case len(args) == 0:
				for _, e := range fault.Explanations {
					if _, err := fmt.Fprintf(out, "%-21s %-8s %s\n", e.Reason, e.State, strings.ReplaceAll(e.Meaning, "`", "")); err != nil {
						return err
					}
				}
				return nil
			}
			for _, e := range fault.Explanations {
				if strings.EqualFold(string(e.Reason), args[0]) {
					_, err := fmt.Fprint(out, e)
					return err
				}
			}
			return fmt.Errorf("%q is no reason of a status; they are %s", args[0], strings.Join(reasonNames(), ", "))
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "all of them, as the page in examples/reasons")
	return cmd
}

func reasonNames() (names []string) {
	for _, e := range fault.Explanations {
		names = append(names, string(e.Reason))
	}
	return names
}

// writeReasonsPage writes examples/reasons/README.md.
func writeReasonsPage(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# What a status says, and what to do\n\n" +
		"Each target of a definition has a `state`, a `reason` for programs and a `message` for people, which names the case at hand.\n" +
		"This page tells what there is to know of each reason. `secretsync explain REASON` says the same in a terminal.\n\n" +
		"| reason | state | who ends it |\n| --- | --- | --- |\n")
	for _, e := range fault.Explanations {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", e.Reason, strings.ToLower(string(e.Reason)), e.State, e.Who)
	}
	for _, e := range fault.Explanations {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n- **Cause:** %s\n- **Remedy:** %s\n", e.Reason, e.Meaning, e.Cause, e.Remedy)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
