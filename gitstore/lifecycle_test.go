package gitstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"secretsync/gitstore/operation"
)

func TestACancelledWriteLeavesNothing(t *testing.T) {
	s := &story{TB: t, dir: t.TempDir()}
	linking := make(chan struct{}, 1)
	s.openWith(Config{fs: &faultFS{hook: func(step string) error {
		if step == "link .lock" {
			select {
			case linking <- struct{}{}:
			default:
			}
		}
		return nil
	}}})
	defer s.close()
	head := s.create(defined("alpha")).Revision
	<-linking
	lock := filepath.Join(s.gitDir(), "refs/heads/main.lock")
	s.must(os.WriteFile(lock, nil, 0o644)) // the first write waits for it

	first := make(chan error, 1)
	go func() {
		_, err := s.repo.Create(t.Context(), somebody, defined("beta"))
		first <- err
	}()
	<-linking
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := s.repo.Create(ctx, somebody, defined("gamma"))
		second <- err
	}()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled write: %v", err)
	}
	s.must(os.Remove(lock))
	s.must(<-first)
	if _, ok := s.repo.Snapshot().Get(name("gamma")); ok {
		t.Error("the cancelled write was made")
	}
	if got := s.git(s.gitDir(), "rev-list", "--count", head.String()+"..main"); got != "1" {
		t.Errorf("%s commits", got)
	}
	s.fsck()
}

func TestAClosedStoreRefusesAndWakesWhoWaits(t *testing.T) {
	s := newStory(t)
	repo := s.repo
	e := s.create(defined("alpha"))
	waiting := make(chan error, 1)
	after := repo.Snapshot()
	go func() {
		_, err := repo.Wait(context.Background(), after)
		waiting <- err
	}()
	s.close()
	if err := <-waiting; !errors.Is(err, ErrUnavailable) {
		t.Errorf("who waits gets %v", err)
	}
	if _, err := repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("who writes gets %v", err)
	}
	if got, _ := repo.Snapshot().Get(e.Name); got != e {
		t.Error("the last snapshot is gone")
	}
}

func TestWaitReturnsEachNewHead(t *testing.T) {
	s := newStory(t)
	snapshot, err := s.repo.Wait(t.Context(), nil)
	s.must(err)
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range 20 {
			s.create(defined(fmt.Sprintf("definition-%d", i)))
		}
	})
	for len(snapshot.Entries()) < 20 {
		next, err := s.repo.Wait(t.Context(), snapshot)
		s.must(err)
		if len(next.Entries()) <= len(snapshot.Entries()) {
			t.Errorf("%d definitions after %d", len(next.Entries()), len(snapshot.Entries()))
		}
		snapshot = next
	}
	writer.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.repo.Wait(ctx, snapshot); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWhoIsNotifiedSeesTheNewerSnapshot(t *testing.T) {
	s := newStory(t)
	seen := make(chan int, 10)
	stop := s.repo.Notify(func() { seen <- len(s.repo.Snapshot().Entries()) })
	others := s.repo.Notify(func() {})
	defer others()
	for i := range 2 {
		s.create(defined(fmt.Sprintf("definition-%d", i)))
		if n := <-seen; n != i+1 {
			t.Errorf("%d definitions stand when %d were written", n, i+1)
		}
	}
	stop()
	stop() // does no harm
	s.create(defined("definition-2"))
	if len(seen) > 0 {
		t.Error("it is told of what comes after it stopped")
	}
}

func TestMaintenanceKeepsARepositorySmall(t *testing.T) {
	s := newStory(t)
	s.close()
	s.openWith(Config{roundAfter: 10, grace: time.Nanosecond})
	const definitions, patches = 200, 400
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := w; i < definitions; i += 8 {
				s.create(defined(fmt.Sprintf("definition-%04d", i)))
			}
		})
	}
	writers.Wait()
	s.must(s.repo.Maintain(t.Context()))
	size := func() (total int) {
		out := s.git(s.gitDir(), "count-objects", "-v")
		for line := range strings.Lines(out) {
			if digits, ok := strings.CutPrefix(strings.TrimSpace(line), "size-pack: "); ok {
				total, _ = strconv.Atoi(digits)
			}
		}
		return total << 10
	}
	before := size()
	for i := range patches { // one by one: each leaves a whole tree
		_, err := s.repo.Patch(t.Context(), somebody, name(fmt.Sprintf("definition-%04d", i*7%definitions)), operation.Exists(), targets(fmt.Sprintf("production/n%d", i)))
		s.must(err)
	}
	s.must(s.repo.Maintain(t.Context()))
	if perCommit := (size() - before) / patches; perCommit > 1500 {
		t.Errorf("%d bytes a commit", perCommit)
	}
	s.close() // nothing is removed any more while it is looked at
	packs, err := filepath.Glob(filepath.Join(s.gitDir(), "objects/pack/*.idx"))
	s.must(err)
	if len(packs) > 12 {
		t.Errorf("%d packs are left", len(packs))
	}
	for _, p := range packs {
		for line := range strings.Lines(s.git(s.gitDir(), "verify-pack", "-v", p)) {
			var depth int
			if n, _ := fmt.Sscanf(line, "chain length = %d:", &depth); n == 1 && depth > 60 {
				t.Errorf("%s: %s", filepath.Base(p), line)
			}
		}
	}
	s.fsck()
}

func TestMetricsTellWhatHappens(t *testing.T) {
	s := &story{TB: t, dir: t.TempDir()}
	registry := prometheus.NewRegistry()
	s.openWith(Config{Metrics: registry})
	defer s.close()
	s.create(defined("alpha"))
	value := func(metric string) float64 {
		families, err := registry.Gather()
		s.must(err)
		for _, f := range families {
			if f.GetName() != metric {
				continue
			}
			m := f.GetMetric()[0]
			if m.GetHistogram() != nil {
				return float64(m.GetHistogram().GetSampleCount())
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
		t.Fatalf("no metric %s", metric)
		return 0
	}
	for metric, want := range map[string]float64{
		"secretsync_gitstore_commits_total": 1, "secretsync_gitstore_batch_commits": 1, "secretsync_gitstore_write_seconds": 1,
		"secretsync_gitstore_healthy": 1, "secretsync_gitstore_definitions": 1,
	} {
		if got := value(metric); got != want {
			t.Errorf("%s is %v, want %v", metric, got, want)
		}
	}
	away := s.gitDir() + ".away"
	s.must(os.Rename(s.gitDir(), away))
	if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); err == nil || value("secretsync_gitstore_healthy") != 0 {
		t.Errorf("healthy is %v after %v", value("secretsync_gitstore_healthy"), err)
	}
	s.must(os.Rename(away, s.gitDir()))
}
