package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/server"
)

func newServe() *cobra.Command {
	var path string
	var check bool
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the server: the API and the reconciler",
		Long: `Run the server until it is interrupted. A complete configuration with the
meaning of each field is examples/secretsync.yaml in the source.

The first SIGINT or SIGTERM ends it in order: it hands over what it works for, is
not ready any more and serves on for a while (drain), and finishes what it was
asked. A second one ends it at once, by that signal, or with exit code 2 where it
is the first process of a container. What was answered stands in either case; work
under way is as after a crash, and other replicas wait for its leases to run out.

The configuration is read again on SIGHUP and when the file changes. One that is
wrong is refused, with its cause in the log, and the old one stays in force. The
files that it names (certificates, tokens, kubeconfigs) are looked at again once a
poll interval, and on SIGHUP; one that is missing or bad stops nobody but who
needs it.`,
		Example: `  secretsync serve --config /etc/secretsync/secretsync.yaml
  secretsync serve --config secretsync.yaml --check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// From the beginning: till it is asked for, SIGHUP ends the program.
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			// Whoever reads what the server writes may end, and then lines are lost: where
			// nobody listens for this signal Go has it end the program. It is not ignored,
			// as git would inherit that.
			broken := make(chan os.Signal, 1)
			signal.Notify(broken, syscall.SIGPIPE)
			defer signal.Stop(broken)
			p, cfg, err := server.Load(server.Config{Path: path, Hangup: hangup, Version: buildVersion(), Build: buildMetric()})
			if err != nil {
				return err
			}
			if check {
				if err := server.Check(cfg); err != nil {
					return err
				}
				for _, warning := range cfg.Warnings {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", warning)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: is right: %d tenants, %d clusters\n", path, len(cfg.Tenants), len(cfg.Clusters))
				return err
			}
			return p.Run(cmd.Context(), cfg, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the configuration file")
	cmd.Flags().BoolVar(&check, "check", false, "check the configuration and end")
	_ = cmd.MarkFlagRequired("config")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	return cmd
}
