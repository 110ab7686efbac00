package vault

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"secretsync/examples/devstack"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/kv"
)

// many follows that many paths, each with a value, and waits until all are known.
func (w *world) many(n int) []*Source {
	w.t.Helper()
	sources := make([]*Source, n)
	for i := range sources {
		path := fmt.Sprintf("db-%d", i)
		w.put(path, map[string]any{"a": "1"})
		sources[i] = w.source(path)
		sources[i].Look()
	}
	w.until("all known", func() bool {
		return all(sources, func(s State) bool { return s.Version.Number == 1 && s.Fault == nil })
	})
	return sources
}

func all(sources []*Source, holds func(State) bool) bool {
	for _, s := range sources {
		if !holds(s.State()) {
			return false
		}
	}
	return true
}

func TestAVaultThatIsDownIsProbedByOneRequestAtATimeAndRecoversByItself(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]devstack.Fault{
		"connections are reset":       {Reset: true},
		"sealed":                      {Status: http.StatusServiceUnavailable},
		"an error of its own":         {Status: http.StatusInternalServerError},
		"a standby that sends nobody": {Status: 473},
		"answers are cut short":       {Truncate: 20},
		"it does not answer in time":  {Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := new(proxyOf)
			w := newWorld(t, proxy.before, withAppRole(time.Hour), func(w *world) {
				if f.Drop {
					w.cfg.Timeout = 3 * time.Second
				}
			})
			sources := w.many(50)
			isRead := func(r *http.Request) bool { return about("/data/")(r) || about("/metadata/")(r) }
			reads := counted(proxy.Proxy, isRead)
			probes := counted(proxy.Proxy, func(r *http.Request) bool { return !isRead(r) })
			proxy.Inject(f)
			o := w.down(fault.ReasonVaultUnavailable)
			if !o.Again || o.Since.IsZero() {
				t.Errorf("%+v", o)
			}
			// Some reads may be under way yet, as many as there are workers; then no more come.
			began := time.Now()
			before, underWay := probes.Load(), reads.Load()
			w.until("ten probes", func() bool { return probes.Load() >= before+10 })
			if took := time.Since(began); took < 1500*time.Millisecond {
				t.Errorf("ten probes in %s", took)
			}
			if n := reads.Load() - underWay; n > DefaultConcurrency {
				t.Errorf("%d reads of a vault that is down", n)
			}
			for _, s := range sources {
				if state := s.State(); state.Version.Number != 1 || state.Fault != nil || !state.Known {
					t.Fatalf("what is known right has become %s: %+v", s.Path(), state)
				}
			}
			v := w.put("db-7", map[string]any{"a": "2"})
			fresh := w.source("fresh")
			w.put("fresh", map[string]any{"a": "1"})
			r := fresh.Request()
			defer r.Release()
			back := time.Now()
			proxy.Clear()
			if f.Drop {
				proxy.Disconnect()
			}
			w.up()
			w.until("the new path's value", func() bool { _, ok := r.Value(); return ok })
			w.until("the new version", func() bool { return sources[7].State().Version.Number == v })
			w.until("all looked at again", func() bool { return all(sources, func(s State) bool { return s.Checked.After(back) }) })
			if line := w.repeated(); line != "" {
				t.Errorf("the log says once more %s", line)
			}
		})
	}
}

// The real thing instead of a proxy: a Vault that is sealed, stopped and
// started again.
func TestASealedAndAStoppedVault(t *testing.T) {
	t.Parallel()
	stack, err := alone()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stack.Close() })
	w := newWorldOn(t, stack, withAppRole(time.Hour))
	sources := w.many(5)
	w.must(w.vault.Seal(w.ctx))
	if o := w.down(fault.ReasonVaultUnavailable); !strings.Contains(o.Message, "sealed") {
		t.Errorf("%q", o.Message)
	}
	w.must(w.vault.Unseal(w.ctx))
	w.up()
	w.vault.Stop()
	w.down(fault.ReasonVaultUnavailable)
	w.must(w.vault.Start(w.ctx))
	w.up()
	since := time.Now()
	w.until("all looked at again", func() bool {
		return all(sources, func(s State) bool { return s.Checked.After(since) && s.Fault == nil })
	})
}

// What was under way when a read failed may have been answered before: it says nothing of the vault.
func TestAReadThatBeganBeforeADoubtDoesNotEndIt(t *testing.T) {
	b := New(access.Config{}, Options{})
	bad, good := b.Source("bad", nil), b.Source("good", nil)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Clock.Now()
	b.finish(read{s: bad}, outcome{f: access.Failed(access.Doubtful, fault.Transient(fault.Error, fault.ReasonVaultUnavailable, "it fails"), "")}, now)
	b.finish(read{s: good}, outcome{version: kv.Version{Number: 1, Created: "2026-01-01T00:00:00Z"}}, now)
	if !good.known || !b.session.doubt {
		t.Errorf("its answer is known: %v, and the vault is to be probed: %v", good.known, b.session.doubt)
	}
}

func TestOnePathThatFailsDoesNotCloseTheVault(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before)
	w.put("good", map[string]any{"a": "1"})
	w.put("bad", map[string]any{"a": "1"})
	proxy.Inject(devstack.Fault{Match: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/bad") }, Status: 500})
	good, bad := w.source("good"), w.source("bad")
	bad.Look()
	if f := w.fails(bad, fault.ReasonVaultUnavailable); !f.Again || bad.State().Known {
		t.Errorf("%+v", f)
	}
	w.holds(good, 1)
	w.holds(good, w.put("good", map[string]any{"a": "2"}))
	if f := bad.State().Fault; f == nil || f.Reason != fault.ReasonVaultUnavailable {
		t.Errorf("%+v", f)
	}
	proxy.Clear()
	w.holds(bad, 1)
	if n := w.lines(`msg="vault unusable"`); n > 0 {
		t.Errorf("the log says %d times that it is unusable", n)
	}
}

func TestABlipIsToldToNobody(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, every(seldom))
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	w.holds(s, 1)
	for _, blip := range []devstack.Fault{{Status: 500}, {Reset: true}, {Truncate: 10}, {Status: 408}, {Status: 412}, {Status: 400}} {
		blip.Times, blip.Match = 1, about("/data/")
		proxy.Inject(blip)
		before := s.State().Stood
		s.Refresh()
		w.until("the read", func() bool { return !s.State().Asked })
		if now := s.State(); now.Fault != nil || !now.Stood.Equal(before) {
			t.Errorf("%+v: %+v", blip, now)
		}
	}
}

// A quota of 5 requests a second with 20 polls a second is what the first of
// these is.
func TestAQuotaOfTheVaultSlowsReadsDownAndBreaksNothing(t *testing.T) {
	t.Parallel()
	const paths = 60
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, withAppRole(time.Hour), every(3*time.Second), func(w *world) {
		w.must(w.vault.Mount(w.ctx, w.name))
		w.cfg.Mount = w.name
		w.must(w.vault.ReadPolicy(w.ctx, w.name, w.name, ""))
	})
	sources := w.many(paths)
	_, err := w.vault.Client.Logical().Write("sys/quotas/rate-limit/"+w.name, map[string]any{"rate": 5, "path": w.name + "/"})
	w.must(err)
	began, bad := time.Now(), ""
	requests := counted(proxy.Proxy, about("/"+w.name+"/metadata/"))
	w.until("half of the paths looked at again, and some seconds of it", func() bool {
		answered := 0
		for _, s := range sources {
			state := s.State()
			if state.Fault != nil || state.Version.Number != 1 {
				bad = fmt.Sprintf("%s: %+v", s.Path(), state)
			}
			if state.Checked.After(began) {
				answered++
			}
		}
		if o := w.b.Outage(); o != nil {
			bad = o.Message
		}
		return answered >= paths/2 && time.Since(began) > 15*time.Second
	})
	if bad != "" {
		t.Errorf("what is known right has become %s", bad)
	}
	tooMany := requests.Load()
	took := time.Since(began)
	t.Logf("%d requests in %s", tooMany, took)
	if float64(tooMany) > 10*took.Seconds() {
		t.Errorf("%d requests in %s against a quota of 5 a second", tooMany, took)
	}
	// A new value and a question of a person's go ahead of the polls.
	v := w.put2("db-3", map[string]any{"a": "2"})
	sources[3].Refresh()
	w.holds(sources[3], v)
	if n := w.lines("level=WARN"); n > 2 {
		t.Errorf("%d warnings", n)
	}
	_, err = w.vault.Client.Logical().Delete("sys/quotas/rate-limit/" + w.name)
	w.must(err)
	since := time.Now()
	w.until("all looked at", func() bool { return all(sources, func(s State) bool { return s.Checked.After(since) }) })
}

// put2 writes a value of a mount that may be limited.
func (w *world) put2(path string, data map[string]any) (version int) {
	w.t.Helper()
	w.until("the write", func() bool {
		v, err := w.vault.PutSecret(w.ctx, w.cfg.Mount, w.name+"/"+path, data)
		version = v
		return err == nil
	})
	return version
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, every(seldom))
	sources := w.many(5)
	proxy.Inject(devstack.Fault{Times: 1, Match: about("/data/"), Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"2"}}})
	began := time.Now()
	sources[0].Refresh()
	data := counted(proxy.Proxy, about("/data/"))
	w.logged("vault limits the rate")
	for _, s := range sources {
		s.Refresh()
	}
	w.until("a read", func() bool { return data.Load() > 0 })
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("it was asked again after %s", took)
	}
	w.until("all read", func() bool { return all(sources, func(s State) bool { return !s.Asked && s.Fault == nil }) })
}

func TestAVaultThatThrottlesLoginsIsNotDown(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, withAppRole(time.Hour), func(w *world) {
		proxy.Inject(devstack.Fault{Times: 5, Status: http.StatusTooManyRequests})
	})
	w.put("db", map[string]any{"a": "1"})
	w.holds(w.source("db"), 1)
	if n := w.lines("vault unusable"); n > 0 {
		t.Errorf("the log says %d times that it is unusable", n)
	}
}

func TestATenantsOwnBoundIsKept(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, every(seldom), func(w *world) { w.cfg.RequestsPerSecond = 20 })
	metadata := counted(proxy.Proxy, about("/metadata/"))
	began := time.Now()
	w.many(40)
	if took, n := time.Since(began), metadata.Load(); took < 1800*time.Millisecond {
		t.Errorf("%d reads in %s", n, took)
	}
}
