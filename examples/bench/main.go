// Command bench measures secretsync against floors that are measured in the same run, and writes what it finds to bench.json.
//
//	make bench                       # every benchmark
//	make bench BENCH=cold-sync-1k    # some, by name, separated by commas
//
// A benchmark lives in a file of its own and registers itself:
//
//	func init() { register("cold-sync-1k", coldSync) }
//
//	func coldSync(ctx context.Context, env *Env) ([]Result, error) { … }
//
// It takes what it needs from Env, measures ours and the floor in turn (see alternate) and returns results, the first of
// them under its own name. Absolute figures depend on the machine; ratios travel.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"secretsync/examples/devstack"
)

// A Result is one figure.
type Result struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"` // ours
	Unit  string  `json:"unit"`
	Floor float64 `json:"floor"` // what the same work costs at least, in the same unit; 0 where there is no floor
	Ratio float64 `json:"ratio"` // Value divided by Floor, filled in by the harness
	Note  string  `json:"note"`  // what Value and Floor are
}

// A Benchmark measures something. An error fails the run after the others have had their turn; results beside it are
// written all the same: what was asserted did not hold, and this was measured nevertheless.
type Benchmark func(context.Context, *Env) ([]Result, error)

var benchmarks = map[string]Benchmark{}

func register(name string, b Benchmark) {
	if benchmarks[name] != nil {
		panic("there are two benchmarks " + name)
	}
	benchmarks[name] = b
}

// Env is what benchmarks share.
type Env struct {
	Dir    string // a folder of the benchmark's own, removed afterwards
	binary string
	stack  *devstack.Stack
}

// Stack returns the running real parts, clusters production and staging and a Vault, without audit logs. Other benchmarks
// use them too: take namespaces and mounts of your own.
func (e *Env) Stack(ctx context.Context) (*devstack.Stack, error) {
	if e.stack == nil {
		var err error
		if e.stack, err = devstack.Start(ctx, devstack.Options{Progress: os.Stderr}); err != nil {
			return nil, err
		}
	}
	return e.stack, nil
}

// Binary returns the path of the server, built from this tree.
func (e *Env) Binary(ctx context.Context) (string, error) {
	if e.binary == "" {
		path, err := filepath.Abs("bin/secretsync")
		if err != nil {
			return "", err
		}
		build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/secretsync")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return "", fmt.Errorf("building the server: %w", err)
		}
		e.binary = path
	}
	return e.binary, nil
}

func main() {
	names := flag.String("run", "", "benchmarks to run, separated by commas; empty: all")
	output := flag.String("o", "bench.json", "file to write the results to")
	flag.Parse()
	if role := os.Getenv(bareRole); role != "" {
		fmt.Fprintln(os.Stderr, "bench:", serveBare(role))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *names, *output); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, selection, output string) error {
	names, err := selected(selection)
	if err != nil {
		return err
	}
	env := &Env{}
	defer func() {
		if env.stack != nil {
			env.stack.Close()
		}
	}()
	results := []Result{}
	var failures []error
	for _, name := range names {
		fmt.Fprintf(os.Stderr, "bench: %s\n", name)
		started := time.Now()
		found, err := runOne(ctx, env, name)
		results = append(results, found...)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", name, err))
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %s\n", name, time.Since(started).Round(time.Second))
	}
	content, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(output, append(content, '\n'), 0o644); err != nil {
		return err
	}
	printTable(results)
	return errors.Join(failures...)
}

func selected(selection string) ([]string, error) {
	var all []string
	for name := range benchmarks {
		all = append(all, name)
	}
	slices.Sort(all)
	if selection == "" {
		return all, nil
	}
	names := strings.Split(selection, ",")
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("there is no benchmark %q; there are %s", name, strings.Join(all, ", "))
		}
	}
	return names, nil
}

func runOne(ctx context.Context, env *Env, name string) ([]Result, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	env.Dir = dir
	results, err := benchmarks[name](ctx, env)
	for i := range results {
		if r := &results[i]; r.Floor != 0 {
			r.Ratio = r.Value / r.Floor
		}
	}
	return results, err
}

func printTable(results []Result) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tOURS\tFLOOR\tUNIT\tRATIO\tNOTE")
	for _, r := range results {
		floor, ratio := "-", "-"
		if r.Floor != 0 {
			floor, ratio = fmt.Sprintf("%.4g", r.Floor), fmt.Sprintf("%.2f", r.Ratio)
		}
		fmt.Fprintf(table, "%s\t%.4g\t%s\t%s\t%s\t%s\n", r.Name, r.Value, floor, r.Unit, ratio, r.Note)
	}
	table.Flush()
}

// alternate measures the floor and ours in turn, so many times each, and returns the medians: what else the machine does
// then falls on both alike.
func alternate(ctx context.Context, rounds int, floor, ours func(context.Context) (float64, error)) (floorMedian, oursMedian float64, err error) {
	var floors, all []float64
	for range rounds {
		f, err := floor(ctx)
		if err != nil {
			return 0, 0, fmt.Errorf("the floor: %w", err)
		}
		o, err := ours(ctx)
		if err != nil {
			return 0, 0, err
		}
		floors, all = append(floors, f), append(all, o)
	}
	return median(floors), median(all), nil
}

func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

// quantile returns the smallest value that at least that share of the values doesn't exceed.
func quantile[T cmp.Ordered](values []T, share float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
