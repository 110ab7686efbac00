package main

import (
	"context"
	"time"
)

func init() { register("ten-urgent", tenUrgent) }

// tenUrgent measures what ten values that are asked for once a second cost among a thousand that are once a minute. Two
// servers work through the same minute side by side, one with the ten and one without, so that whatever else the machine
// does befalls both.
func tenUrgent(ctx context.Context, env *Env) ([]Result, error) {
	calm := fleetOptions{definitions: 1000, targets: 1, namespaces: 10, clusters: []string{"production"}}
	urgent := calm
	urgent.definitions, urgent.urgent = 1010, 10
	return withServer(ctx, env, 10*time.Minute, calm, func(ctx context.Context, _ *fleet, without *server) ([]Result, error) {
		return withServer(ctx, env, 10*time.Minute, urgent, func(ctx context.Context, _ *fleet, with *server) ([]Result, error) {
			if err := wait(ctx, 10*time.Second); err != nil { // what is left of the first sync
				return nil, err
			}
			var cpu, vault [2]float64
			for i, server := range []*server{without, with} {
				before, err := server.work(ctx)
				if err != nil {
					return nil, err
				}
				cpu[i], vault[i] = -before.cpu.Seconds(), -before.vault
			}
			if err := wait(ctx, time.Minute); err != nil {
				return nil, err
			}
			for i, server := range []*server{without, with} {
				after, err := server.work(ctx)
				if err != nil {
					return nil, err
				}
				cpu[i] += after.cpu.Seconds()
				vault[i] += after.vault
			}
			return []Result{
				{Name: "ten-urgent", Value: cpu[1], Floor: cpu[0], Unit: "CPU s", Note: "over one minute with 1,000 values asked for once a minute and ten once a second; floor: another server in that minute without the ten. The limit that is set is 1.5 times"},
				{Name: "ten-urgent-vault", Value: vault[1], Floor: 1600, Unit: "requests", Note: "to Vault in that minute; floor: one a minute for each of 1,000, one a second for each of ten"},
			}, nil
		})
	})
}
