// Command demo shows secretsync at work on real parts: two Kubernetes API servers, a Vault and the server itself. It does
// what a platform engineer would do, shows every request and answer, and checks each step: it ends with an error at the
// first one that is off. It begins with the server alone, because the other parts may have to be built first. With FORGE=1
// there is a real forge at the end, for pull requests. On a terminal it then stays up, for the reader to play with; with
// DEMO=once it ends.
//
// It is no part of the server. Nothing outlives it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"secretsync/examples/devstack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stay := os.Getenv("DEMO") != "once" && term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
	err := run(ctx, "bin/secretsync", os.Getenv("FORGE") != "", stay)
	switch {
	case ctx.Err() != nil:
		fmt.Println("\nInterrupted; everything is stopped.")
	case err != nil:
		fmt.Fprintf(os.Stderr, "\ndemo: FAILED: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run plays the story with that server program, with a forge if asked to, and, if asked to, stays until ctx ends.
func run(ctx context.Context, binary string, forge, stay bool) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	d := &demo{binary: binary, began: time.Now()}
	if d.stack, err = devstack.Prepare(ctx, devstack.Options{Progress: &d.screen}); err != nil {
		return err
	}
	defer d.stack.Close()
	if err := d.play(ctx); err != nil {
		return err
	}
	if forge {
		if err := d.tell(ctx, d.onForge()); err != nil {
			return err
		}
	}
	fmt.Printf("\nEvery step did what it should, in %s.\n", time.Since(d.began).Round(100*time.Millisecond))
	if !stay {
		return nil
	}
	d.printInvitation()
	if forge {
		d.printForge()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-d.server.Ended():
		return fmt.Errorf("the server ended%s", d.serverLog())
	}
}

// play tells the whole story. The vault and the clusters are built while it is told what the server does without them, and
// join when they are there.
func (d *demo) play(ctx context.Context) error {
	playing, ctx := errgroup.WithContext(ctx)
	playing.Go(func() error { return d.stack.Build(ctx) })
	playing.Go(func() error {
		d.screen.hold()
		if err := d.tell(ctx, d.alone()); err != nil {
			return err
		}
		playing.Go(func() error { return d.stack.Start(ctx) })
		d.printMeanwhile()
		d.screen.release()
		return d.tell(ctx, d.together())
	})
	return playing.Wait()
}

func (d *demo) tell(ctx context.Context, story []step) error {
	for _, step := range story {
		heading(step.title)
		if err := step.play(ctx); err != nil {
			return fmt.Errorf("%s: %w%s", step.title, err, d.serverLog())
		}
	}
	return nil
}
