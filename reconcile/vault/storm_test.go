package vault

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"secretsync/examples/devstack"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/kv"
)

// Everything at once, while the vault fails in every way. Afterwards each path
// is known as it is, and nothing is left over.
func TestAStormEndsInOrder(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, withAppRole(3*time.Second), every(500*time.Millisecond), func(w *world) { w.cfg.Timeout = 500 * time.Millisecond })
	const paths = 30
	versions := make([]int, paths)
	name := func(i int) string { return fmt.Sprintf("db-%d", i) }
	for i := range paths {
		versions[i] = w.put(name(i), map[string]any{"a": "0"})
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := w.source(name(rand.IntN(paths)))
				s.Look()
				var held []*Request
				for range 20 {
					switch rand.IntN(7) {
					case 0:
						s.Refresh()
					case 1, 2:
						held = append(held, s.Request())
					case 3:
						for _, r := range held {
							r.Value()
							r.Release()
						}
						held = nil
					case 4:
						s.Confirm(kv.Version{Number: 9, Created: "2026-01-01T00:00:00Z"})
					case 5:
						s.State()
					case 6:
						time.Sleep(time.Duration(rand.IntN(int(10 * time.Millisecond))))
					}
				}
				for _, r := range held {
					r.Release()
				}
				s.Close()
			}
		})
	}
	wg.Go(func() {
		faults := []devstack.Fault{
			{Status: 500}, {Status: 503}, {Status: 403}, {Status: 429, Header: http.Header{"Retry-After": {"1"}}}, {Status: 404}, {Status: 400},
			{Reset: true}, {Truncate: 15}, {Drop: true}, {Delay: 50 * time.Millisecond},
		}
		for range 25 {
			f := faults[rand.IntN(len(faults))]
			f.Times = 1 + rand.IntN(30)
			proxy.Inject(f)
			switch rand.IntN(4) {
			case 0:
				w.b.Reread()
			case 1:
				w.b.Configure(w.cfg, time.Duration(300+rand.IntN(400))*time.Millisecond, 0, 1+rand.IntN(32))
			case 2:
				proxy.Disconnect()
			case 3:
				w.vault.Client.Auth().Token().RevokeTree(w.token())
			}
			i := rand.IntN(paths)
			if v, err := w.vault.PutSecret(w.ctx, "secret", w.name+"/"+name(i), map[string]any{"a": "1"}); err == nil {
				versions[i] = v
			}
			time.Sleep(200 * time.Millisecond)
		}
		close(stop)
	})
	steady := make([]*Source, paths)
	for i := range steady {
		steady[i] = w.source(name(i))
		steady[i].Look()
	}
	wg.Wait()
	proxy.Clear()
	proxy.Disconnect()
	for i, s := range steady {
		w.until(s.Path()+" being known as it is", func() bool {
			state := s.State()
			return state.Known && state.Fault == nil && state.Version.Number == versions[i] && !state.Asked
		})
	}
	w.up()
	w.until("nothing being left over", func() bool {
		w.b.mu.Lock()
		defer w.b.mu.Unlock()
		n := 0
		w.b.each(func(s *Source) {
			if n++; s.running || s.parked {
				n = -1 << 20
			}
		})
		return n == paths && w.b.values.bytes == 0 && len(w.b.reads.parked) == 0
	})
}

// Callbacks take the locks of whoever calls us: if one were made from within a
// method, it would wait for itself.
func TestCallbacksAreNeverMadeFromWithinAMethod(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	called := make(chan struct{}, 1)
	callback := func() {
		mu.Lock()
		defer mu.Unlock()
		select {
		case called <- struct{}{}:
		default:
		}
	}
	w := newWorld(t, every(50*time.Millisecond), func(w *world) { w.o.Changed = callback })
	w.put("db", map[string]any{"a": "1"})
	under := func(do func()) {
		mu.Lock()
		defer mu.Unlock()
		do()
	}
	var s *Source
	var r *Request
	other := w.cfg
	other.Prefix += "/other"
	for i := range 20 {
		under(func() { s = w.b.Source("db", callback) })
		under(s.Look)
		under(func() { r = s.Request() })
		under(s.Refresh)
		under(func() { s.Confirm(kv.Version{Number: 2, Created: "2999-01-01T00:00:00Z"}) })
		under(w.b.Reread)
		<-called
		under(func() { w.b.Configure([]access.Config{w.cfg, other}[i%2], 50*time.Millisecond, 0, 0) })
		<-called
		under(func() { r.Value(); r.Release(); s.Close() })
	}
}

func TestAtRestNoGoroutineRuns(t *testing.T) {
	ours := func() (stacks []string) {
		text := make([]byte, 1<<20)
		text = text[:runtime.Stack(text, true)]
		for _, stack := range strings.Split(string(text), "\n\n") {
			if strings.Contains(stack, "vault.(*Broker)") {
				stacks = append(stacks, stack)
			}
		}
		return stacks
	}
	w := newWorld(t, every(seldom), withAppRole(time.Hour))
	for i := range 100 {
		path := fmt.Sprintf("db-%d", i)
		w.put(path, map[string]any{"a": "1"})
		w.holds(w.source(path), 1)
	}
	w.until("none", func() bool { return len(ours()) == 0 })
	// What is asked of it is done all the same.
	w.put("db-0", map[string]any{"a": "2"})
	s := w.source("db-0")
	s.Refresh()
	w.holds(s, 2)
	w.stop()
	w.until("none", func() bool { return len(ours()) == 0 })
}

func TestAPolicyThatAllowsOnlyTheDataIsGoneAlongWith(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, withAppRole(time.Hour), func(w *world) {
		w.must(w.vault.Policy(w.ctx, w.name, fmt.Sprintf("path %q {\n capabilities = [\"read\"]\n}\n", "secret/data/"+w.name+"/*")))
	})
	w.put("db", map[string]any{"a": "1"})
	w.up()
	logins := counted(proxy.Proxy, about("/login"))
	s := w.source("db")
	s.Look()
	w.until("version 1", func() bool { return s.State().Version.Number == 1 })
	metadata := counted(proxy.Proxy, about("/metadata/"))
	w.put("db", map[string]any{"a": "2"})
	w.until("version 2", func() bool { return s.State().Version.Number == 2 })
	w.holds(s, 2)
	if metadata.Load() > 0 || logins.Load() > 0 {
		t.Errorf("%d requests for metadata that are denied, %d logins", metadata.Load(), logins.Load())
	}
}

func TestMountsThatAreNoKV2AreSaid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mount func(*world)
		says  string
	}{
		"version 1": {func(w *world) {
			w.must(w.vault.Client.Sys().Mount(w.name, kv1))
			w.cfg.Mount = w.name
		}, "is a KV version 1 engine"},
		"nothing": {func(w *world) { w.cfg.Mount = "nothing-here" }, "no secrets engine is mounted at nothing-here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.mount)
			s, other := w.source("db"), w.source("other")
			s.Look()
			other.Look()
			for _, s := range []*Source{s, other} {
				if f := w.fails(s, fault.ReasonVaultForbidden); !strings.Contains(f.Message, test.says) {
					t.Errorf("%q", f.Message)
				}
			}
		})
	}
}

func TestAStandbyMaySendUsToTheActiveNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.cfg.Address = redirecting(w, w.vault.Address) })
	w.put("db", map[string]any{"a": "1"})
	w.holds(w.source("db"), 1)

	round := newWorld(t, func(w *world) { w.cfg.Address = redirecting(w, "") })
	if o := round.down(fault.ReasonVaultUnavailable); !strings.Contains(o.Message, "307") {
		t.Errorf("%q", o.Message)
	}
}
