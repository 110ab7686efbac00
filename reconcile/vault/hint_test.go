package vault

import (
	"testing"
	"time"
)

func TestAHintHasAPathReadAtOnceAndAFloodOfThemNotMoreOftenThanIsAllowed(t *testing.T) {
	t.Parallel()
	const least = 300 * time.Millisecond
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, every(seldom), func(w *world) { w.o.Least = least })
	w.put("db", map[string]any{"a": "1"})
	w.put("other", map[string]any{"a": "1"})
	s, other := w.source("db"), w.source("other")
	w.holds(s, 1)
	w.holds(other, 1)
	w.rest(s, other)

	w.put("db", map[string]any{"a": "2"})
	s.Hint()
	w.until("the change is seen", func() bool { return s.State().Version.Number == 2 })

	reads, others := counted(proxy.Proxy, about("/db")), counted(proxy.Proxy, about("/other"))
	began := time.Now()
	last := 2
	for time.Since(began) < 4*least {
		s.Hint()
		if reads.Load() > 1 && last == 2 {
			// Whenever it changes, the last hint after that is enough.
			last = w.put("db", map[string]any{"a": "3"})
		}
	}
	took := time.Since(began)
	s.Hint()
	w.until("the last change is seen", func() bool { return s.State().Version.Number == last })
	if n, most := reads.Load(), int64(time.Since(began)/least)+2; n > most {
		t.Errorf("%d reads in %s of hints without end, want at most %d", n, took, most)
	}
	if n := others.Load(); n != 0 {
		t.Errorf("another path was read %d times", n)
	}
}

func TestAHintForAllHasEachPathReadOnce(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, every(seldom))
	var sources []*Source
	for _, path := range []string{"a", "b", "c"} {
		w.put(path, map[string]any{"a": "1"})
		s := w.source(path)
		w.holds(s, 1)
		sources = append(sources, s)
	}
	w.rest(sources...)
	sources[0].Every(seldom/2, true) // one that has a pace of its own
	// What was read ten seconds ago and more may be read again.
	w.b.mu.Lock()
	for _, s := range sources {
		s.checked -= int64(allAgain)
	}
	w.b.mu.Unlock()
	for _, path := range []string{"a", "b", "c"} {
		w.put(path, map[string]any{"a": "2"})
	}
	reads := counted(proxy.Proxy, about("/"+w.name+"/"))
	w.b.HintAll()
	w.until("all changes are seen", func() bool {
		for _, s := range sources {
			if s.State().Version.Number != 2 {
				return false
			}
		}
		return true
	})
	for range 100 {
		w.b.HintAll()
	}
	w.b.mu.Lock()
	waiting := len(w.b.reads.later.heap)
	w.b.mu.Unlock()
	if n := reads.Load(); n != 3 || waiting != 3 {
		t.Errorf("%d reads, and %d to come; want 3 of each", n, waiting)
	}
}
