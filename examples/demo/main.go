// Command demo shows secretsync at work on real parts: two Kubernetes API servers, a Vault and the server itself. It does
// what a platform engineer would do, shows every request and answer, and checks each step: it ends with an error at the
// first one that is off. On a terminal it then stays up, for the reader to play with; with DEMO=once it ends.
//
// It is no part of the server. Nothing outlives it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

	"secretsync/examples/devstack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stay := os.Getenv("DEMO") != "once" && term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
	err := run(ctx, "bin/secretsync", stay)
	switch {
	case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
		fmt.Println("\nInterrupted; everything is stopped.")
	case err != nil:
		fmt.Fprintf(os.Stderr, "\ndemo: FAILED: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run plays the story with that server program and, if asked to, stays until ctx ends.
func run(ctx context.Context, binary string, stay bool) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	started := time.Now()
	heading("The real parts: two kube-apiservers on one etcd, and a Vault")
	stack, err := devstack.Start(ctx, devstack.Options{Progress: os.Stdout})
	if err != nil {
		return err
	}
	defer stack.Close()
	fmt.Printf("running after %s\n", time.Since(started).Round(100*time.Millisecond))

	d := &demo{stack: stack, binary: binary}
	for _, step := range d.story() {
		heading(step.title)
		if err := step.play(ctx); err != nil {
			return fmt.Errorf("%s: %w%s", step.title, err, d.serverLog())
		}
	}
	fmt.Printf("\nEvery step did what it should, in %s.\n", time.Since(started).Round(100*time.Millisecond))
	if !stay {
		return nil
	}
	d.printInvitation()
	select {
	case <-ctx.Done():
		return nil
	case <-d.server.Ended():
		return fmt.Errorf("the server ended%s", d.serverLog())
	}
}
