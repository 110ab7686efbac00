package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore"
)

func init() {
	register("api-write-64", apiWrite)
	register("write-latency", writeLatency)
	register("write-deep", writeDeep)
	register("open-warm", openWarm)
	register("open-cold", openCold)
	register("follow-push", followPush)
	register("disk-per-commit", diskPerCommit)
	register("memory-per-definition", memoryPerDefinition)
}

const (
	storeDefinitions = 1000
	storeWriters     = 64
)

// apiWrite: durable commits a second of 64 writers on one tenant.
func apiWrite(ctx context.Context, env *Env) ([]Result, error) {
	w, err := newStoreWorld(ctx, env.Dir, storeDefinitions, 0)
	if err != nil {
		return nil, err
	}
	defer w.close()
	bare, err := newBareWriter(w.gitDir)
	if err != nil {
		return nil, err
	}
	floor, ours, err := alternate(ctx, 5,
		func(ctx context.Context) (float64, error) { return rate(ctx, time.Second, 1, bare.write) },
		func(ctx context.Context) (float64, error) { return rate(ctx, 2*time.Second, storeWriters, w.write) })
	return []Result{{
		Name: "api-write-64", Value: ours, Floor: floor, Unit: "commits/s",
		Note: "64 writers, 1,000 definitions, durable; floor: one goroutine writing the same objects with go-git, no fsync",
	}}, err
}

// writeLatency: how long one writer alone waits for a durable commit.
func writeLatency(ctx context.Context, env *Env) ([]Result, error) {
	w, err := newStoreWorld(ctx, env.Dir, storeDefinitions, 0)
	if err != nil {
		return nil, err
	}
	defer w.close()
	bare, err := newBareWriter(w.gitDir)
	if err != nil {
		return nil, err
	}
	var floors, ours []float64
	for range 400 { // in turn, so that both have the same neighbours
		for _, side := range []struct {
			write func(context.Context, int) error
			took  *[]float64
		}{{bare.write, &floors}, {w.write, &ours}} {
			begun := time.Now()
			if err := side.write(ctx, 0); err != nil {
				return nil, err
			}
			*side.took = append(*side.took, float64(time.Since(begun).Microseconds())/1000)
		}
	}
	const note = "one writer alone, durable; floor: one commit with go-git, no fsync"
	return []Result{
		{Name: "write-latency", Value: median(ours), Floor: median(floors), Unit: "ms", Note: "p50, " + note},
		{Name: "write-latency-p99", Value: quantile(ours, 0.99), Floor: quantile(floors, 0.99), Unit: "ms", Note: "p99, " + note},
	}, nil
}

// writeDeep: writing on top of a long history against writing on top of none.
func writeDeep(ctx context.Context, env *Env) ([]Result, error) {
	shallow, err := newStoreWorld(ctx, filepath.Join(env.Dir, "shallow"), storeDefinitions, 0)
	if err != nil {
		return nil, err
	}
	defer shallow.close()
	deep, err := newStoreWorld(ctx, filepath.Join(env.Dir, "deep"), storeDefinitions, 100_000)
	if err != nil {
		return nil, err
	}
	defer deep.close()
	floor, ours, err := alternate(ctx, 7,
		func(ctx context.Context) (float64, error) {
			return rate(ctx, 2*time.Second, storeWriters, shallow.write)
		},
		func(ctx context.Context) (float64, error) { return rate(ctx, 2*time.Second, storeWriters, deep.write) })
	return []Result{{
		Name: "write-deep", Value: ours, Floor: floor, Unit: "commits/s",
		Note: "as api-write-64 on 100,000 commits; floor: the same on a repository without history",
	}}, err
}

// openWarm: from Open to serving, with the cache of the last run.
func openWarm(ctx context.Context, env *Env) ([]Result, error) {
	w, err := newStoreWorld(ctx, env.Dir, storeDefinitions, 50_000)
	if err != nil {
		return nil, err
	}
	defer w.close()
	floor, ours, err := alternate(ctx, 5,
		func(ctx context.Context) (float64, error) {
			return seconds(func() error { return readAllFiles(ctx, w.gitDir) })
		},
		func(context.Context) (float64, error) {
			w.close()
			return seconds(w.open)
		})
	return []Result{{
		Name: "open-warm", Value: ours, Floor: floor, Unit: "s",
		Note: "1,000 definitions, 50,000 commits, from open to serving; floor: git cat-file of the 1,000 files",
	}}, err
}

// openCold: the same without the cache.
func openCold(ctx context.Context, env *Env) ([]Result, error) {
	w, err := newStoreWorld(ctx, env.Dir, storeDefinitions, 50_000)
	if err != nil {
		return nil, err
	}
	defer w.close()
	floor, ours, err := alternate(ctx, 3,
		func(ctx context.Context) (float64, error) {
			log := exec.CommandContext(ctx, "git", "log", "--raw", "--first-parent", "main")
			log.Dir = w.gitDir // its output goes nowhere
			return seconds(log.Run)
		},
		func(context.Context) (float64, error) {
			w.close()
			if err := w.forget(); err != nil {
				return 0, err
			}
			return seconds(w.open)
		})
	return []Result{{
		Name: "open-cold", Value: ours, Floor: floor, Unit: "s",
		Note: "as open-warm without the cache; floor: git log --raw --first-parent",
	}}, err
}

// followPush: from a branch that moved to the index that has it.
func followPush(ctx context.Context, env *Env) ([]Result, error) {
	var results []Result
	for _, size := range []struct {
		name        string
		definitions int
	}{{"follow-push", 1000}, {"follow-push-10k", 10_000}} {
		w, err := newStoreWorld(ctx, filepath.Join(env.Dir, size.name), size.definitions, 0)
		if err != nil {
			return nil, err
		}
		floor, ours, err := w.follow(ctx, 60)
		w.close()
		if err != nil {
			return nil, err
		}
		results = append(results, Result{
			Name: size.name, Value: ours, Floor: floor, Unit: "ms",
			Note: fmt.Sprintf("a commit changes one file of %d, from the move of the branch to the index having it; floor: the tree diff with go-git", size.definitions),
		})
	}
	return results, nil
}

// diskPerCommit: what a commit takes on disk in the end.
func diskPerCommit(ctx context.Context, env *Env) ([]Result, error) {
	w, err := newStoreWorld(ctx, env.Dir, storeDefinitions, 0)
	if err != nil {
		return nil, err
	}
	defer w.close()
	before, err := objectBytes(w.gitDir)
	if err != nil {
		return nil, err
	}
	if _, err := rate(ctx, 6*time.Second, storeWriters, w.write); err != nil {
		return nil, err
	}
	for range 300 { // people and pipelines come one by one
		if err := w.write(ctx, 0); err != nil {
			return nil, err
		}
	}
	if err := w.repository.Maintain(ctx); err != nil {
		return nil, err
	}
	// What was merged is left for two minutes to those who still read it, or
	// till the store is closed.
	w.close()
	after, err := objectBytes(w.gitDir)
	if err != nil {
		return nil, err
	}
	if err := git(ctx, w.gitDir, "repack", "-a", "-d", "-f", "-q"); err != nil {
		return nil, err
	}
	best, err := objectBytes(w.gitDir)
	commits := float64(w.commits.Load())
	return []Result{{
		Name: "disk-per-commit", Value: float64(after-before) / commits, Floor: float64(best-before) / commits, Unit: "bytes",
		Note: fmt.Sprintf("1,000 definitions, %.0f commits, after our maintenance; floor: after git repack -adf", commits),
	}}, err
}

// memoryPerDefinition: what a definition with one target takes of the heap.
func memoryPerDefinition(ctx context.Context, env *Env) ([]Result, error) {
	const definitions = 10_000
	w, err := newStoreWorld(ctx, env.Dir, definitions, 0)
	if err != nil {
		return nil, err
	}
	w.close()
	empty := heap()
	if err := w.open(); err != nil {
		return nil, err
	}
	full := heap()
	w.close()
	return []Result{{
		Name: "memory-per-definition", Value: float64(full-empty) / definitions, Floor: float64(len(definitionFile(0, 0))), Unit: "bytes",
		Note: "heap of an open repository of 10,000 definitions; floor: the bytes of the file",
	}}, nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func seconds(do func() error) (float64, error) {
	begun := time.Now()
	err := do()
	return time.Since(begun).Seconds(), err
}

// rate returns how often a second so many workers can do it.
func rate(ctx context.Context, during time.Duration, workers int, do func(ctx context.Context, worker int) error) (float64, error) {
	var done atomic.Int64
	var failure atomic.Pointer[error]
	begun := time.Now()
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for time.Since(begun) < during && failure.Load() == nil {
				if err := do(ctx, worker); err != nil {
					failure.CompareAndSwap(nil, &err)
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	if err := failure.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(begun).Seconds(), nil
}

// objectBytes is the size of all objects and their indexes.
func objectBytes(gitDir string) (total int64, err error) {
	err = filepath.WalkDir(filepath.Join(gitDir, "objects"), func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

func readAllFiles(ctx context.Context, gitDir string) error {
	list := exec.CommandContext(ctx, "git", "ls-tree", "-r", "--format=%(objectname)", "main")
	list.Dir = gitDir
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("git ls-tree: %w", err)
	}
	read := exec.CommandContext(ctx, "git", "cat-file", "--batch")
	read.Dir, read.Stdin = gitDir, bytes.NewReader(names)
	return read.Run()
}

var someone = gitstore.Attribution{Author: gitstore.Author{Name: "Bench", ID: "ak-bench"}, RequestID: "bench"}
