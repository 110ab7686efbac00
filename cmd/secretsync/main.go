// Command secretsync copies secret values from Vault to Kubernetes Secrets as
// definitions in Git say. This package is the command line: a file for each command,
// which says what it takes and turns errors into words and exit codes. What commands
// do is the business of rooms below; the server that serve runs is package server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli"
	"secretsync/cmd/secretsync/internal/cli/terminal"
	"secretsync/httpapi/githttp"
)

func main() {
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == githttp.HookName {
		args = []string{"hook", githttp.HookName} // git runs it by a link of that name
	}
	os.Exit(run(args, os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit code: 0 for success, 1
// for a failure, or what a [cli.Exit] says. The first interrupt ends the command in order, a second
// one at once.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, cli.ErrReported) {
		fmt.Fprintf(stderr, "secretsync: %s\n", terminal.Clean(err.Error()))
	}
	var exit *cli.Exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	}
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "secretsync",
		Short: "Copy secret values from Vault to Kubernetes as definitions in Git say",
		Long: `secretsync keeps Kubernetes Secrets in many namespaces of many clusters in step
with values in Vault. What is copied where stands in YAML files in a Git
repository, one a definition; people change them by pull request or by the API.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServe(), newValidate(), newPlan(), newKey(), newConformance(), newVerify(), newImport(), newDev(), newExplain(), newVersion(), newHook())
	root.AddCommand(newDocs())
	cli.AddTo(root)
	for _, c := range root.Commands() {
		if c.Name() == "keys" {
			c.AddCommand(newKeysMigrate()) // which needs no server
		}
	}
	return root
}
