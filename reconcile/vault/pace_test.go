package vault

import (
	"math"
	"testing"
	"time"

	"secretsync/reconcile/vault/access"
)

func TestAPathIsPolledAtTheShortestIntervalOfThoseWhoUseIt(t *testing.T) {
	for name, c := range map[string]struct {
		shortest time.Duration
		all      bool
		want     time.Duration
	}{
		"nobody asks":                              {0, false, time.Minute},
		"all ask for shorter":                      {5 * time.Second, true, 5 * time.Second},
		"one asks for shorter":                     {5 * time.Second, false, 5 * time.Second},
		"all ask for longer":                       {time.Hour, true, time.Hour},
		"one asks for longer, another for nothing": {time.Hour, false, time.Minute},
		"less than is allowed":                     {time.Second, true, 2 * time.Second},
		"less than nothing":                        {-time.Second, true, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			b := New(access.Config{}, Options{Interval: time.Minute, Least: 2 * time.Second})
			s := b.Source("db", nil)
			s.Every(c.shortest, c.all)
			if got := s.pace(); got != c.want {
				t.Errorf("polled every %s, want %s", got, c.want)
			}
			if own := s.slot == ownPace; own != (c.want != time.Minute) {
				t.Errorf("has a pace of its own: %v", own)
			}
			n := 0
			b.each(func(*Source) { n++ })
			s.Close()
			b.each(func(*Source) { n++ })
			if n != 1 {
				t.Errorf("it was there %d times, want once, and not any more once closed", n)
			}
		})
	}
}

func TestPathsWithAnIntervalOfTheirOwnArePolledOnceInItSpreadEvenly(t *testing.T) {
	const tenth = 100 * time.Millisecond
	b := New(access.Config{}, Options{Interval: time.Minute})
	for range 100 {
		b.Source("urgent", nil).Every(time.Second, true)
		b.Source("slow", nil).Every(time.Hour, true)
	}
	now := b.o.Clock.Now()
	b.paces.turn(now, func(*Source) {}) // what is due at this very moment
	for second := range 10 {
		all := 0
		for range 10 {
			now = now.Add(tenth)
			n := map[string]int{}
			next := b.paces.turn(now, func(s *Source) { n[s.path]++ })
			if n["urgent"] > 3*together || n["slow"] > together {
				t.Errorf("%d of 100 paths polled in a tenth of second %d, and %d of those polled once an hour", n["urgent"], second, n["slow"])
			}
			if !next.After(now) || next.After(now.Add(3*tenth)) {
				t.Errorf("the next is due %s after the last", next.Sub(now))
			}
			all += n["urgent"]
		}
		if all != 100 {
			t.Errorf("%d polls of 100 paths in second %d", all, second)
		}
	}
	// After a pause each is due once, not once for each time it was missed.
	polls := 0
	b.paces.turn(now.Add(time.Minute), func(s *Source) {
		if s.path == "urgent" {
			polls++
		}
	})
	if polls != 100 {
		t.Errorf("%d polls of 100 paths after a minute without any", polls)
	}
}

// Whoever writes a definition says its interval: no time that is reckoned with it is one
// that can't be, which would be over at once and for ever.
func TestPathsWithAnIntervalOfCenturiesAreNotPolledAllTheTime(t *testing.T) {
	b := New(access.Config{}, Options{Interval: time.Minute})
	for range 100 {
		b.Source("forgotten", nil).Every(math.MaxInt64, true)
	}
	now := b.o.Clock.Now()
	for _, p := range b.paces.heap {
		if p.at < now.UnixNano() || p.at+p.every < p.at {
			t.Fatalf("polled at %s, and every %s", time.Unix(0, p.at), time.Duration(p.every))
		}
	}
}

func TestAnotherIntervalOfTheTenantsMovesPathsToWhereTheyBelong(t *testing.T) {
	b := New(access.Config{}, Options{Interval: time.Minute})
	plain, shorter, longer := b.Source("a", nil), b.Source("b", nil), b.Source("c", nil)
	shorter.Every(30*time.Second, false)
	longer.Every(2*time.Minute, false)
	for _, c := range []struct {
		interval, least time.Duration
		own             [3]bool
	}{
		{time.Minute, 0, [3]bool{false, true, false}},
		{10 * time.Second, 0, [3]bool{false, false, false}},
		{time.Hour, 0, [3]bool{false, true, true}},
		{30 * time.Second, 0, [3]bool{false, false, false}},
		{time.Minute, time.Minute, [3]bool{false, false, false}},
		{time.Hour, time.Minute, [3]bool{false, true, true}},
	} {
		b.Configure(access.Config{}, c.interval, c.least, 0)
		for i, s := range []*Source{plain, shorter, longer} {
			if own := s.slot == ownPace; own != c.own[i] {
				t.Errorf("interval %s, least %s: path %s has a pace of its own: %v", c.interval, c.least, s.path, own)
			}
		}
		n := 0
		b.each(func(*Source) { n++ })
		if n != 3 {
			t.Errorf("interval %s: %d sources, want 3", c.interval, n)
		}
	}
}

func TestAnUrgentPathIsSeenToChangeWithinItsIntervalWhereTheTenantsIsLong(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, every(seldom), func(w *world) { w.o.Least = 50 * time.Millisecond })
	w.put("urgent", map[string]any{"a": "1"})
	w.put("calm", map[string]any{"a": "1"})
	urgent, calm := w.source("urgent"), w.source("calm")
	urgent.Every(100*time.Millisecond, true)
	w.holds(urgent, 1)
	w.holds(calm, 1)
	w.rest(calm)
	calmly := counted(proxy.Proxy, about("/calm"))
	for version := 2; version < 5; version++ {
		w.put("urgent", map[string]any{"a": version})
		w.until("the change is seen", func() bool { return urgent.State().Version.Number == version })
	}
	if n := calmly.Load(); n != 0 {
		t.Errorf("the other path was read %d times", n)
	}
	urgent.Every(0, false)
	if urgent.slot == ownPace {
		t.Error("it keeps a pace of its own")
	}
}
