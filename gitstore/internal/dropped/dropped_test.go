package dropped

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/telemetry"
)

func TestADropSaysHowToHaveItBack(t *testing.T) {
	d := Drop{
		Branch: "main", From: "f00", Time: time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC), Commits: 3, Partial: true,
		Answered: 12, Named: slices.Repeat([]string{`"Add x"`}, condition.MostNamed+2), Gone: []string{"alpha"}, GoneAll: 1,
	}
	got := d.Sentence()
	for _, part := range []string{`branch "main"`, "2026-11-26T09:00:00Z", "at least 3 commits", "12 of them made by the API", "and more", "went: alpha", "merge commit f00", "7 days"} {
		if !strings.Contains(got, part) {
			t.Errorf("%s lacks %q", got, part)
		}
	}
	if got := (Drop{Commits: 1}).Sentence(); !strings.Contains(got, ": 1 commit was dropped;") {
		t.Error(got)
	}
}

// inMemory is the file that outlives a restart.
type inMemory struct{ content []byte }

func (f *inMemory) ReadOwn(string, int64) ([]byte, error) {
	if f.content == nil {
		return nil, fs.ErrNotExist
	}
	return f.content, nil
}

func (f *inMemory) WriteOwn(_ string, content ...[]byte) error {
	f.content = slices.Concat(content...)
	return nil
}

func TestTheNewestDropsAreToldTillTheyAreOver(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC))
	metrics, err := telemetry.NewMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	var file inMemory
	var told *condition.Condition
	start := func() *Memory {
		told = condition.New(slog.New(slog.DiscardHandler), "acme", nil)
		told.Measure(metrics.Of("acme"))
		return Restore(Config{Files: &file, Condition: told, Clock: clock, Log: slog.New(slog.DiscardHandler), Tenant: "acme"})
	}
	drop := func(n int) Drop {
		return Drop{Branch: "main", From: fmt.Sprintf("from-%d.", n), To: "to", Time: clock.Now(), Commits: 1}
	}
	sees := func(when string, drops ...int) {
		t.Helper()
		problems := strings.Join(told.Problems(), "\n")
		if n := strings.Count(problems, "history of branch"); n != len(drops) {
			t.Errorf("%s: %d are told, want %v:\n%s", when, n, drops, problems)
		}
		for _, n := range drops {
			if !strings.Contains(problems, drop(n).From) {
				t.Errorf("%s: drop %d is not told:\n%s", when, n, problems)
			}
		}
	}
	m := start()
	sees("at first")
	for n := range most + 2 {
		m.Add(drop(n))
		m.Add(drop(n))
	}
	sees("after two more than are remembered, each noticed twice", 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	m = start()
	sees("after a restart", 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	m.Review(func(d Drop) bool { return d.From != drop(5).From })
	sees("when all but one are mended", 5)
	clock.Step(Kept - time.Second)
	m.Add(drop(20))
	m.Review(nil)
	sees("for days", 5, 20)
	clock.Step(time.Second)
	m.Review(nil)
	sees("when the first has been told for long enough", 20)
	file.content = bytes.Clone(file.content[:len(file.content)/2])
	m = start()
	sees("from a file that is torn")
	m.Add(drop(21))
	if !json.Valid(file.content) {
		t.Errorf("the file holds %s", file.content)
	}
}
