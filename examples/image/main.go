package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil:
		return
	case !errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
	}
	os.Exit(1)
}

// order is what a command line asks for.
type order struct {
	release
	archives bool     // instead of an image
	programs []string // paths
	out      string   // the folder for what is made
	root     string   // the checkout
	docs     string   // "": none go along
	push     string   // "": it is not pushed
}

// parse reads a command line: image or release, flags, and the programs to pack.
func parse(args []string, stderr io.Writer) (order, error) {
	if len(args) == 0 || args[0] != "image" && args[0] != "release" {
		return order{}, errors.New("say what to make of the programs: image or release")
	}
	o := order{archives: args[0] == "release"}
	var date string
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Version, "version", "", "the version of the programs")
	flags.StringVar(&o.Commit, "commit", "", "the commit that they were built from")
	flags.StringVar(&date, "date", "", "the date of that commit, RFC 3339")
	flags.StringVar(&o.out, "out", ".", "the folder for what is made; what it holds of another version is removed")
	flags.StringVar(&o.root, "root", "../..", "the checkout, for LICENSE and README.md")
	if o.archives {
		flags.StringVar(&o.docs, "docs", "", "a folder with completions and man pages, to go along")
	} else {
		flags.StringVar(&o.push, "push", "", "where to push the image, such as registry.example.com/platform/secretsync:v1.2.3")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return order{}, err
	}
	if o.programs = flags.Args(); len(o.programs) == 0 {
		return order{}, errors.New("name the programs to pack")
	}
	return o, o.parse(date)
}

// run executes one command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	from, err := findSources(ctx)
	if err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(o.root, "LICENSE"))
	if err != nil {
		return err
	}
	var programs []*program
	for _, path := range o.programs {
		p, err := readProgram(path, from)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		programs = append(programs, p)
	}
	folder, err := newFolder(o.out)
	if err != nil {
		return err
	}
	if o.archives {
		if err := makeArchives(folder, o, programs, licence); err != nil {
			return err
		}
		return folder.report(stdout)
	}
	certificates, err := trustedRoots(from)
	if err != nil {
		return err
	}
	image, err := makeImage(folder, o.release, programs, certificates, licence)
	if err != nil {
		return err
	}
	if err := folder.report(stdout); err != nil {
		return err
	}
	if o.push != "" {
		return image.push(ctx, o.push, stdout)
	}
	return image.explain(stdout, o.release)
}
