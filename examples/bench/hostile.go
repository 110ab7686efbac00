package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/gitstoretest/forge"
)

func init() { register("hostile-push", hostilePush) }

// hostilePush: how long a tenant's writes wait while another one pushes the worst that stock git lets him.
func hostilePush(ctx context.Context, env *Env) ([]Result, error) {
	w, err := newStoreWorld(ctx, filepath.Join(env.Dir, "store"), storeDefinitions, 0)
	if err != nil {
		return nil, err
	}
	defer w.close()
	beside, err := makeRepository(filepath.Join(env.Dir, "beside"), "hostile")
	if err != nil {
		return nil, err
	}
	ours, err := newHostile(ctx, filepath.Join(env.Dir, "pushes"), w)
	if err != nil {
		return nil, err
	}
	theirs := *ours
	theirs.to = beside
	for _, h := range []*hostile{ours, &theirs} {
		if err := h.push(ctx); err != nil { // this is the long one for git
			return nil, err
		}
	}
	const rounds, writes = 6, 300
	var quiet, pushed, elsewhere []float64
	for range rounds {
		for _, side := range []struct {
			with *hostile // nil: nobody pushes
			took *[]float64
		}{{nil, &quiet}, {ours, &pushed}, {&theirs, &elsewhere}} {
			took, err := whilePushing(ctx, side.with, func() (float64, error) {
				begun := time.Now()
				err := w.write(ctx, 0)
				return float64(time.Since(begun).Microseconds()) / 1000, err
			}, writes)
			if err != nil {
				return nil, err
			}
			*side.took = append(*side.took, took...)
		}
	}
	const note = "writes of one tenant while another pushes 900 names of costly blobs, 200,000 names of one and 400 costly blobs in turn"
	return []Result{
		{Name: "hostile-push", Value: quantile(pushed, 0.99), Floor: quantile(quiet, 0.99), Unit: "ms", Note: "p99, " + note + "; floor: without pushes"},
		{Name: "hostile-push-p50", Value: median(pushed), Floor: median(quiet), Unit: "ms", Note: "p50, " + note + "; floor: without pushes"},
		{
			Name: "hostile-push-git", Value: quantile(pushed, 0.99), Floor: quantile(elsewhere, 0.99), Unit: "ms",
			Note: "p99, " + note + fmt.Sprintf(" (%d pushes); floor: the same pushes to a repository that nobody follows (%d)", ours.pushed, theirs.pushed),
		},
	}, nil
}

// whilePushing does something so often while pushes go on, and waits for the last of those.
func whilePushing(ctx context.Context, h *hostile, do func() (float64, error), times int) (took []float64, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	if h == nil {
		ended <- nil
	} else {
		go func() { ended <- h.pushAll(ctx) }()
	}
	for range times {
		one, err := do()
		if err != nil {
			stop()
			<-ended
			return nil, err
		}
		took = append(took, one)
	}
	stop()
	return took, <-ended
}

// hostile is who pushes, commit by commit.
type hostile struct {
	from, to string
	commits  []forge.ID
	pushed   int
}

// newHostile prepares what is pushed to a second tenant of a store.
func newHostile(ctx context.Context, dir string, w *storeWorld) (*hostile, error) {
	tenant, err := gitstore.ParseTenantName("hostile")
	if err != nil {
		return nil, err
	}
	r, err := w.store.Repository(tenant)
	if err != nil {
		return nil, err
	}
	if err := r.Opened(ctx); err != nil {
		return nil, err
	}
	h := &hostile{from: dir, to: filepath.Join(w.dir, "hostile.git")}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := forge.New()
	// 130 steps of 16 MiB; and 60 of 1 MiB, below files that are just cheap enough one by one.
	bomb, large := p.Chain(16<<20, 130, "name: bomb")
	var contents []string
	for n := range 400 {
		contents = append(contents, fmt.Sprintf("name: costly-%d", n))
	}
	costly, less := p.Chain(1<<20, 60, contents...)
	others := append(large, less...)
	parent := ""
	for n := range 120 {
		var names []string
		blobs := bomb
		switch n % 3 {
		case 0:
			names = forge.Names(fmt.Sprintf("bomb-%d-", n), 900)
		case 1:
			names = forge.Names(fmt.Sprintf("crowd-%d-", n), 200_000)
		case 2:
			names, blobs = forge.Names(fmt.Sprintf("costly-%d-", n), len(costly)), costly
		}
		commit := p.Commit(parent, names, blobs, others...)
		parent = commit.String()
		h.commits = append(h.commits, commit)
	}
	return h, p.WriteTo(ctx, dir, h.to)
}

func (h *hostile) push(ctx context.Context) error {
	if h.pushed == len(h.commits) {
		return fmt.Errorf("all %d commits are pushed", h.pushed)
	}
	// A push that is killed may leave the branch locked.
	err := forge.Push(context.WithoutCancel(ctx), h.from, h.to, h.commits[h.pushed])
	h.pushed++
	return err
}

func (h *hostile) pushAll(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := h.push(ctx); err != nil {
			return err
		}
	}
	return nil
}
