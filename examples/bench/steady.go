package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func init() {
	register("restart-10k", restart)
	register("steady-10k", steady)
	register("memory-100k", memory100k)
}

var tenThousand = fleetOptions{definitions: 10_000, targets: 1, namespaces: 10, clusters: []string{"production"}}

// restart measures a start with everything right already, until the server knows it.
func restart(ctx context.Context, env *Env) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	f, err := newFleet(ctx, env, tenThousand)
	if err != nil {
		return nil, err
	}
	defer f.empty(context.WithoutCancel(ctx))
	if _, err := f.coldSync(ctx); err != nil {
		return nil, err
	}
	writes := 0.0
	ours := func(ctx context.Context) (float64, error) {
		started := time.Now()
		server, err := f.serve(ctx)
		if err != nil {
			return 0, err
		}
		defer server.stop()
		if err := server.untilSynced(ctx, f.copies()); err != nil {
			return 0, err
		}
		took := time.Since(started).Seconds()
		n, err := server.metric(ctx, "secretsync_writes_total")
		writes += n
		return took, err
	}
	floor, took, err := alternate(ctx, 3, f.bareLook, ours)
	if err != nil {
		return nil, err
	}
	if writes > 0 {
		err = fmt.Errorf("%v copies were written though all were right", writes)
	}
	return []Result{{
		Name: "restart-10k", Value: took, Floor: floor, Unit: "s",
		Note: "from process start until 10,000 right copies are known Synced, without a write; floor: listing them and reading each path's metadata once",
	}}, err
}

// bareLook lists the copies and reads each path's metadata.
func (f *fleet) bareLook(ctx context.Context) (float64, error) {
	started := time.Now()
	err := parallel(ctx, 2, 2, func(ctx context.Context, i int) error {
		if i == 0 {
			return f.bareMetadata(ctx)
		}
		next := ""
		for {
			list, err := f.writer[f.options.clusters[0]].CoreV1().Secrets("").List(ctx, meta.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=secretsync", Limit: 500, Continue: next})
			if err != nil {
				return err
			}
			if next = list.Continue; next == "" {
				return nil
			}
		}
	})
	return time.Since(started).Seconds(), err
}

func (f *fleet) bareMetadata(ctx context.Context) error {
	return parallel(ctx, fleetWorkers, len(f.names), func(ctx context.Context, i int) error {
		_, err := f.reader.GetMetadata(ctx, f.names[i])
		return err
	})
}

// steady measures a minute in which nothing is to be done.
func steady(ctx context.Context, env *Env) ([]Result, error) {
	return withServer(ctx, env, 10*time.Minute, tenThousand, func(ctx context.Context, f *fleet, server *server) ([]Result, error) {
		before, err := server.work(ctx)
		if err != nil {
			return nil, err
		}
		if err := wait(ctx, time.Minute); err != nil {
			return nil, err
		}
		after, err := server.work(ctx)
		if err != nil {
			return nil, err
		}
		bareBefore := ownCPU()
		if err := f.bareMetadata(ctx); err != nil {
			return nil, err
		}
		bare := ownCPU() - bareBefore
		return []Result{
			{Name: "steady-10k", Value: (after.cpu - before.cpu).Seconds(), Floor: bare.Seconds(), Unit: "CPU s", Note: "over one minute with 10,000 targets and nothing to do; floor: a bare loop that reads each path's metadata once"},
			{Name: "steady-10k-vault", Value: after.vault - before.vault, Floor: float64(len(f.names)), Unit: "requests", Note: "to Vault in that minute, whose interval is one minute; floor: one a path"},
			{Name: "steady-10k-kubernetes", Value: after.kubernetes - before.kubernetes, Unit: "requests", Note: "to the cluster in that minute"},
			{Name: "steady-10k-resident", Value: mebibytes(after.resident), Floor: 150, Unit: "MiB", Note: "resident memory after it; floor: the limit that is set, 150"},
		}, nil
	})
}

// work is what a server has done so far, and what it took.
type work struct {
	usage
	vault, kubernetes float64 // requests
}

func (s *server) work(ctx context.Context) (work, error) {
	vault, err := s.metric(ctx, "secretsync_vault_request_seconds_count")
	if err != nil {
		return work{}, err
	}
	kubernetes, err := s.metric(ctx, "secretsync_kubernetes_request_seconds_count")
	if err != nil {
		return work{}, err
	}
	used, err := s.usage()
	return work{used, vault, kubernetes}, err
}

// memory100k measures what a hundred thousand definitions take, each with a path and a copy of its own: while they are
// synced for the first time, and a minute later.
func memory100k(ctx context.Context, env *Env) ([]Result, error) {
	options := fleetOptions{definitions: 100_000, targets: 1, namespaces: 100, clusters: []string{"production"}, pollInterval: 5 * time.Minute}
	return withServer(ctx, env, 30*time.Minute, options, func(ctx context.Context, f *fleet, server *server) ([]Result, error) {
		if err := wait(ctx, time.Minute); err != nil {
			return nil, err
		}
		used, err := server.usage()
		return []Result{
			{Name: "memory-100k", Value: mebibytes(used.resident), Floor: 700, Unit: "MiB", Note: "resident, a minute after 100,000 definitions were synced from cold; floor: the limit that is set, 700"},
			{Name: "memory-100k-peak", Value: mebibytes(used.peak), Floor: 700, Unit: "MiB", Note: "the most that was resident meanwhile; floor: the same limit"},
		}, err
	})
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// wait lets time pass.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ownCPU is what this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var errNoCopy = errors.New("no copy")

// secret reads one copy.
func (f *fleet) secret(ctx context.Context, i int) (*core.Secret, error) {
	t := f.places(i)[0]
	s, err := f.stack.Cluster(f.options.clusters[t.cluster]).Admin.CoreV1().Secrets(f.namespace(t.namespace)).Get(ctx, f.names[i], meta.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w of %s: %w", errNoCopy, f.names[i], err)
	}
	return s, nil
}
