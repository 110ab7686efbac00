package gitstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/operation"
)

// What the model of one definition knows of an operation.
type linearInput struct {
	name string
	op   string // "create", "patch", "delete", "push"
	pre  string // revision asked for; "" for none
}

type linearOutput struct {
	result   string // "done", "same", "not found", "exists", "precondition"
	revision string // after it
	from     string // "push": the revision it replaced, as its commit shows; "" for none
}

// Each definition is a register that holds its revision.
var linearModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byName := make(map[string][]porcupine.Operation)
		for _, op := range history {
			n := op.Input.(linearInput).name
			byName[n] = append(byName[n], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byName {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		at, in, out := state.(string), input.(linearInput), output.(linearOutput)
		switch out.result {
		case "not found":
			return at == "", at
		case "exists":
			return at != "", at
		case "precondition":
			return at != "" && at != in.pre, at
		case "same":
			return at == out.revision && (in.pre == "" || in.pre == at), at
		}
		switch in.op {
		case "create":
			return at == "", out.revision
		case "push":
			return at == out.from, out.revision
		case "delete":
			return at != "" && (in.pre == "" || in.pre == at), ""
		}
		return at != "" && (in.pre == "" || in.pre == at), out.revision
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

func TestConcurrentWritersAndAPusherAreExplainedByOneOrder(t *testing.T) {
	s := newStory(t)
	s.close()
	s.openWith(Config{roundAfter: 8})
	const writers, rounds, definitions = 64, 14, 20
	var mu sync.Mutex
	var history []porcupine.Operation
	begun := time.Now()
	record := func(client int, in linearInput, call time.Duration, out linearOutput) {
		mu.Lock()
		defer mu.Unlock()
		history = append(history, porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(time.Since(begun))})
	}
	// In each round the writers come at random moments, while a pusher replays
	// its commit on what it fetched till it is accepted, as people do.
	c := s.clone()
	const spread = 100 * time.Millisecond
	for round := range rounds {
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), uint64(round)))
				<-time.After(time.Duration(r.Int64N(int64(spread))))
				in := linearInput{name: fmt.Sprintf("definition-%02d", r.IntN(definitions)), op: []string{"create", "patch", "patch", "patch", "delete"}[r.IntN(5)]}
				call := time.Since(begun)
				out, err := linearWrite(s, r, &in, fmt.Sprintf("production/w%d-%d", w, round))
				if err != nil {
					t.Errorf("%+v: %v", in, err)
					return
				}
				record(w, in, call, out)
			})
		}
		group.Go(func() {
			in := linearInput{name: fmt.Sprintf("definition-%02d", round%definitions), op: "push"}
			call := time.Since(begun)
			out, err := c.pushOne(in.name, fmt.Sprintf("pushed-%d", round))
			if err != nil {
				t.Error(err)
				return
			}
			record(writers, in, call, out)
		})
		group.Wait()
	}
	t.Logf("%d operations, %d of them pushes", len(history), rounds)
	s.fsck()
	if t.Failed() {
		return
	}
	if result, _ := porcupine.CheckOperationsVerbose(linearModel, history, 2*time.Minute); result != porcupine.Ok {
		t.Errorf("no order explains what was answered: %s", result)
	}
}

func linearWrite(s *story, r *rand.Rand, in *linearInput, place string) (out linearOutput, err error) {
	n := name(in.name)
	pre := operation.Unconditional()
	if e, ok := s.repo.Snapshot().Get(n); ok && in.op != "create" && r.IntN(3) > 0 {
		in.pre = e.Revision.String()
		pre = operation.OneOf(e.Revision)
	}
	var e *catalog.Entry
	switch in.op {
	case "create":
		e, err = s.repo.Create(s.Context(), somebody, defined(in.name, place))
	case "patch":
		e, err = s.repo.Patch(s.Context(), somebody, n, pre, targets(place))
	case "delete":
		err = s.repo.Delete(s.Context(), somebody, n, pre)
	}
	switch {
	case err == nil && e != nil:
		return linearOutput{result: "done", revision: e.Revision.String()}, nil
	case err == nil:
		return linearOutput{result: "done"}, nil
	case errors.Is(err, ErrNotFound):
		return linearOutput{result: "not found"}, nil
	case errors.Is(err, ErrExists):
		return linearOutput{result: "exists"}, nil
	case errors.Is(err, ErrPrecondition):
		return linearOutput{result: "precondition"}, nil
	}
	return linearOutput{}, err
}

// pushOne pushes a change of one file and says what it replaced.
func (c *workTree) pushOne(n, namespace string) (out linearOutput, err error) {
	path := "secrets/" + n + ".yaml"
	run := func(args ...string) string {
		if err != nil {
			return ""
		}
		var text string
		if text, err = runGit(c.Context(), c.dir, args...); err != nil {
			err = fmt.Errorf("git %q: %w: %s", args, err, text)
		}
		return strings.TrimSpace(text)
	}
	for {
		run("fetch", "-q", "origin")
		run("checkout", "-q", "-B", "main", "origin/main")
		if err != nil && strings.Contains(err.Error(), "origin/main") {
			err = nil // nothing there yet
			continue
		}
		if err != nil {
			return out, err
		}
		full := filepath.Join(c.dir, path)
		out.from = run("log", "-1", "--first-parent", "--format=%H", "--", path)
		if _, gone := os.Stat(full); gone != nil {
			out.from = ""
		}
		if mkdir := os.MkdirAll(filepath.Dir(full), 0o755); mkdir != nil {
			return out, mkdir
		}
		if write := os.WriteFile(full, []byte(fileOf(n, namespace)), 0o644); write != nil {
			return out, write
		}
		run("add", "-A")
		run("commit", "-q", "-m", "Push "+n)
		out.result, out.revision = "done", run("rev-parse", "HEAD")
		if err != nil {
			return out, err
		}
		said, pushErr := runGit(c.Context(), c.dir, "push", "-q", "origin", "HEAD:main")
		if pushErr == nil {
			return out, nil
		}
		lost := strings.Contains(said, "rejected") || strings.Contains(said, "failed to push") || strings.Contains(said, "cannot lock ref")
		if !lost {
			return out, fmt.Errorf("git push: %w: %s", pushErr, said)
		}
	}
}

func TestStockGitPacksAndCollectsWhileWeWrite(t *testing.T) {
	s := newStory(t)
	s.close()
	s.openWith(Config{roundAfter: 8})
	s.create(defined("first"))
	var stop atomic.Bool
	var group sync.WaitGroup
	group.Go(func() {
		defer stop.Store(true)
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := range 60 {
					n := fmt.Sprintf("w%d-%d", w, i)
					e, err := s.repo.Create(t.Context(), somebody, defined(n, "production/"+n))
					if err == nil {
						_, err = s.repo.Patch(t.Context(), somebody, e.Name, operation.OneOf(e.Revision), targets("staging/"+n))
					}
					if err != nil {
						t.Errorf("%s: %v", n, err)
						return
					}
				}
			})
		}
		writers.Wait()
	})
	operator := [][]string{
		{"fsck", "--full", "--strict", "--no-dangling", "--no-progress"}, {"log", "-p", "--stat", "main"},
		{"gc", "-q"}, {"pack-refs", "--all"}, {"repack", "-q", "-d", "--geometric=2"}, {"prune-packed", "-q"}, {"gc", "-q", "--prune=now"},
		{"repack", "-q", "-a", "-d", "--write-midx"}, {"commit-graph", "write", "--reachable"},
	}
	group.Go(func() {
		for clones := 0; !stop.Load() || clones < 3; clones++ {
			dir := t.TempDir()
			if out, err := runGit(t.Context(), dir, "clone", "-q", "file://"+s.gitDir(), "work"); err != nil {
				t.Errorf("clone: %v: %s", err, out)
			}
		}
	})
	for i := 0; !stop.Load() || i < len(operator); i++ {
		out, err := runGit(t.Context(), s.gitDir(), operator[i%len(operator)]...)
		if err != nil {
			t.Errorf("git %q: %s", operator[i%len(operator)], out)
		}
	}
	group.Wait()
	s.fsck()
	if n := len(s.repo.Snapshot().Entries()); n != 241 {
		t.Errorf("%d definitions", n)
	}
	if got := s.git(s.gitDir(), "rev-list", "--count", "main"); got != "481" {
		t.Errorf("%s commits", got)
	}
	// A clone made now has it all.
	s.clone()
	if _, _, err := s.repo.History(context.Background(), name("w0-0"), catalog.Revision{}, 10); err != nil {
		t.Error(err)
	}
}
