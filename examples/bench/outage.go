package main

import (
	"context"
	"fmt"
	"time"

	"secretsync/examples/devstack"
)

func init() { register("outage", outage) }

// outageNew is how many values get a new version while Vault can't be reached.
const outageNew = 10

// outageInterval is shorter than the outage: a path that was asked just before it, or while it began, is due in it as well,
// and not only some seconds after it.
const outageInterval = 25 * time.Second

// outage measures 30 s without Vault: what is asked of it meanwhile, how long until all is well again, and how long until
// what changed meanwhile is copied.
func outage(ctx context.Context, env *Env) ([]Result, error) {
	stack, err := env.Stack(ctx)
	if err != nil {
		return nil, err
	}
	proxy, err := stack.Vault.Proxy()
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	options := fleetOptions{definitions: 2000, targets: 1, namespaces: 10, clusters: []string{"production"}, vaultURL: proxy.URL, pollInterval: outageInterval}
	return withServer(ctx, env, 10*time.Minute, options, func(ctx context.Context, f *fleet, server *server) ([]Result, error) {
		counter, err := f.count(ctx)
		if err != nil {
			return nil, err
		}
		defer counter.close()
		requests, stale, err := f.withoutVault(ctx, server, proxy, counter)
		if err != nil {
			return nil, err
		}
		back := proxy.Requests()
		proxy.Clear()
		started := time.Now()
		first, last, err := counter.replaced(ctx, started, stale, func() bool {
			// Until every path was asked for anew, not just until the status says so again.
			return proxy.Requests()-back >= len(f.names)
		})
		if err != nil {
			return nil, err
		}
		if err := server.untilSynced(ctx, f.copies()); err != nil {
			return nil, err
		}
		took := time.Since(started).Seconds()
		reads := time.Now()
		if err := f.bareMetadata(ctx); err != nil {
			return nil, err
		}
		return []Result{
			{Name: "outage", Value: took, Floor: time.Since(reads).Seconds(), Unit: "s", Note: "from Vault's return after 30 s, in which every path was due, until all 2,000 targets were looked at again and are Synced, probe and jitter included; floor: reading their metadata once"},
			{Name: "outage-first", Value: first.Seconds(), Floor: 0.5, Unit: "s", Note: fmt.Sprintf("from Vault's return until the first of %d copies whose values changed meanwhile is right; floor: the limit that is set, 0.5", outageNew)},
			{Name: "outage-last", Value: last.Seconds(), Floor: 3, Unit: "s", Note: "until all of them are; floor: the limit that is set, 3"},
			{Name: "outage-requests", Value: float64(requests), Unit: "requests", Note: "to Vault in the 30 s without it"},
		}, nil
	})
}

// withoutVault takes Vault away for 30 s and changes values meanwhile. It returns the requests that came for it, and the
// copies that are stale then, with their versions. Vault is still away.
func (f *fleet) withoutVault(ctx context.Context, server *server, proxy *devstack.Proxy, c *counter) (requests int, stale map[string]string, err error) {
	proxy.Inject(devstack.Fault{Reset: true})
	before := proxy.Requests()
	if err := wait(ctx, 30*time.Second); err != nil {
		return 0, nil, err
	}
	requests = proxy.Requests() - before
	down, err := server.metric(ctx, `secretsync_targets{reason="VaultUnavailable"`)
	if err != nil {
		return 0, nil, err
	}
	if int(down) != f.copies() {
		return 0, nil, fmt.Errorf("%v of %d targets are known to be without their vault", down, f.copies())
	}
	var copies []string
	for i := range outageNew {
		n := i * len(f.names) / outageNew // far apart, and so are their polls
		if err := f.put(ctx, n, "while it was away"); err != nil {
			return 0, nil, err
		}
		copies = append(copies, f.watched(n))
	}
	return requests, c.versions(copies), nil
}

// replaced waits until copies are there in another version than these, and until done is, too. It returns how long the
// first of them took and how long the last.
func (c *counter) replaced(ctx context.Context, started time.Time, former map[string]string, done func() bool) (first, last time.Duration, err error) {
	err = c.when(ctx, func() bool {
		for key, version := range former {
			if now := c.at[key]; now == "" || now == version {
				return false
			}
		}
		return true
	})
	if err != nil {
		return 0, 0, err
	}
	c.mu.Lock()
	for key := range former {
		took := c.seen[key].Sub(started)
		if first == 0 || took < first {
			first = took
		}
		last = max(last, took)
	}
	c.mu.Unlock()
	for !done() {
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	return first, last, nil
}
