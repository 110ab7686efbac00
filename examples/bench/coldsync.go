package main

import (
	"context"
	"fmt"
	"time"
)

func init() {
	register("cold-sync-1k", cold("cold-sync-1k", 5, fleetOptions{definitions: 1000, targets: 1, namespaces: 10, clusters: []string{"production"}}))
	register("cold-sync-10k", cold("cold-sync-10k", 1, fleetOptions{definitions: 10_000, targets: 1, namespaces: 10, clusters: []string{"production"}}))
	register("cold-sync-fanout", cold("cold-sync-fanout", 1, fleetOptions{definitions: 1000, targets: 10, namespaces: 10, clusters: []string{"production", "staging"}}))
}

// cold measures from the start of the process with all definitions at HEAD to all Secrets being there.
func cold(name string, rounds int, options fleetOptions) Benchmark {
	return func(ctx context.Context, env *Env) ([]Result, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
		defer cancel()
		f, err := newFleet(ctx, env, options)
		if err != nil {
			return nil, err
		}
		defer f.empty(ctx)
		floor, ours, err := alternate(ctx, rounds, f.bareLoop, f.coldSync)
		if err != nil {
			return nil, err
		}
		return []Result{{
			Name: name, Value: ours, Floor: floor, Unit: "s",
			Note: fmt.Sprintf("from process start to %d Secrets of %d values; floor: a bare loop with %d workers", f.copies(), options.definitions, fleetWorkers),
		}}, nil
	}
}
