package reconcile

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// Two replicas may believe for a moment that they hold one tenant, and both work for it. None of their writes is blind, so each
// change reaches a copy once, whoever is faster, and no copy goes back to what it held before.
func TestTwoReconcilersOnOnePlaceWriteEachChangeOnce(t *testing.T) {
	t.Parallel()
	a := newWorld(t)
	b := *a
	b.t, b.logs, b.ends = t, &testlog.Log{}, nil
	b.start()
	t.Cleanup(b.stop)

	const editions = 6
	var names, want []string
	var parsed []definition.Name
	for i := range 20 {
		names = append(names, fmt.Sprintf("db-%d", i))
		parsed = append(parsed, a.parse(names[i]))
	}
	told := a.history(t, "edition")
	var stops []func()
	for _, w := range []*world{a, &b} {
		for _, name := range names[:2] {
			stops = append(stops, w.never(name, "a fight", func(s status.Target) bool { return s.Reason == fault.ReasonContended }))
		}
	}
	for edition := range editions {
		want = append(want, fmt.Sprint(edition))
		for _, name := range names {
			a.put(name, map[string]any{"edition": fmt.Sprint(edition)})
		}
		switch {
		case edition == 0:
			for _, name := range names {
				a.define(name, "production/.")
			}
		case edition%3 != 0: // both are told of it at once, or one is, or it is found by the polls
			var telling sync.WaitGroup
			for _, w := range []*world{a, &b}[:3-edition%3] {
				telling.Go(func() {
					for _, name := range parsed {
						w.r.SyncNow(w.tenant(), name)
					}
				})
			}
			telling.Wait()
		}
		for _, name := range names {
			a.holds("production/./"+name, map[string]string{"edition": fmt.Sprint(edition)})
		}
		a.synced(names...)
		b.synced(names...)
	}
	for _, name := range names {
		a.remove(name)
	}
	a.put("after", map[string]any{"edition": "0"})
	a.define("after", "production/.")
	a.synced("after")
	b.synced("after")
	for _, stop := range stops {
		stop()
	}
	for name, held := range told() {
		if slices.Contains(names, name) && !slices.Equal(held, want) {
			t.Errorf("%s held one after the other %q; want %q", name, held, want)
		}
	}
}

// history notes what each Secret in the namespace holds at a key after each write, and tells it when it is ended.
func (w *world) history(t *testing.T, key string) (end func() map[string][]string) {
	t.Helper()
	secrets := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace)
	none, err := secrets.List(w.ctx, meta.ListOptions{})
	w.must(err)
	watch, err := secrets.Watch(w.ctx, meta.ListOptions{ResourceVersion: none.ResourceVersion})
	w.must(err)
	held := make(map[string][]string)
	const last = "the-end-of-the-history"
	done := make(chan struct{})
	var over atomic.Bool // the test ended without asking
	t.Cleanup(func() { over.Store(true); watch.Stop(); <-done })
	go func() {
		defer close(done)
		for e := range watch.ResultChan() {
			s, ok := e.Object.(*core.Secret)
			switch {
			case over.Load():
				return
			case !ok:
				t.Errorf("the watch of the copies: %v", e.Object)
				return
			case s.Name == last:
				return
			case e.Type == apiwatch.Deleted:
				held[s.Name] = append(held[s.Name], "gone")
			default:
				held[s.Name] = append(held[s.Name], string(s.Data[key]))
			}
		}
		if !over.Load() {
			t.Error("the watch of the copies ended early")
		}
	}()
	return func() map[string][]string {
		w.create("production", &core.Secret{ObjectMeta: meta.ObjectMeta{Name: last}})
		<-done
		watch.Stop()
		return held
	}
}
