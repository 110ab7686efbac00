// Command build makes the devstack's binaries ahead of their first use, and says what it does meanwhile.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"secretsync/examples/devstack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	forge := flag.Bool("forge", false, "Gitea as well")
	flag.Parse()
	binaries, err := devstack.Build(ctx, os.Stderr, *forge)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("kube-apiserver  %s\netcd            %s\nvault           %s\n", binaries.APIServer, binaries.Etcd, binaries.Vault)
}
