package main

import (
	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/githttp/prereceive"
)

// newHook is what git runs, not people.
func newHook() *cobra.Command {
	hook := &cobra.Command{Use: "hook", Hidden: true, Args: cobra.NoArgs, Short: "What git runs"}
	hook.AddCommand(&cobra.Command{
		Use: githttp.HookName, Args: cobra.NoArgs, Short: "Judge a push, on behalf of a running server",
		RunE: func(*cobra.Command, []string) error {
			if prereceive.Main() != 0 {
				return cli.ErrReported
			}
			return nil
		},
	})
	return hook
}
