package reconcile

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/reconcile/kube"
)

// fence is whether the tenant may be written for, and tells that it was asked.
type fence struct {
	open  atomic.Bool
	asked chan struct{}
}

func (f *fence) may() bool {
	select {
	case f.asked <- struct{}{}:
	default:
	}
	return f.open.Load()
}

// askedAnew waits till it is asked once more, so that what was asked for before has been put off.
func (f *fence) askedAnew(t *testing.T) {
	t.Helper()
	for range 2 {
		select {
		case <-f.asked:
		case <-time.After(deadline):
			t.Fatal("nobody asked whether the write may be")
		}
	}
}

// Whoever lost a tenant to another server, and does not know yet, must change nothing for it.
func TestNothingIsWrittenForATenantThatMayNotBe(t *testing.T) {
	t.Parallel()
	f := &fence{asked: make(chan struct{})}
	w := newWorld(t, func(w *world) { w.config.Tenants[0].May = f.may })
	w.put("db", map[string]any{"a": "1"})
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "db")})
	f.askedAnew(t)
	if w.get("production/./db") != nil {
		t.Error("a copy was made")
	}
	f.open.Store(true)
	w.live("db", "db")

	f.open.Store(false)
	w.put("db", map[string]any{"a": "2"})
	f.askedAnew(t)
	if s := w.get("production/./db"); string(s.Data["a"]) != "1" {
		t.Error("a copy was updated")
	}
	w.push(map[string]*string{fileOf("db"): nil})
	f.askedAnew(t)
	if w.get("production/./db") == nil {
		t.Error("a copy was deleted")
	}
	f.open.Store(true)
	w.until("production/./db", "its deletion", gone)
}

func TestAWorkloadOfATenantThatMayNotBeWrittenForIsNotMarked(t *testing.T) {
	marked := 0
	c := &fenced{countedMarks{&marked}, func() bool { return false }}
	if err := c.Mark(t.Context(), kube.Workload{}, nil, nil, nil); !errors.Is(err, errFenced) || marked > 0 {
		t.Errorf("%v, marked %d times", err, marked)
	}
	c.may = func() bool { return true }
	if err := c.Mark(t.Context(), kube.Workload{}, nil, nil, nil); err != nil || marked != 1 {
		t.Errorf("%v, marked %d times", err, marked)
	}
}

type countedMarks struct{ n *int }

func (c countedMarks) Workload(context.Context, kube.Workload) (*kube.Marks, error) { return nil, nil }
func (c countedMarks) Mark(context.Context, kube.Workload, *kube.Marks, map[string]string, map[string]string) error {
	*c.n++
	return nil
}
