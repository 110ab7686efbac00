// Command build makes the devstack's binaries ahead of their first use, and says what it does meanwhile.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"secretsync/examples/devstack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	binaries, err := devstack.Build(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("kube-apiserver  %s\netcd            %s\nvault           %s\n", binaries.APIServer, binaries.Etcd, binaries.Vault)
}
