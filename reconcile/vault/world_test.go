package vault

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/examples/devstack"
	"secretsync/examples/devstack/testlog"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/kv"
)

// deadline bounds every wait of a test: what takes longer has failed. Nothing that is waited for takes a
// few seconds; on a machine on which much else runs it may.
const deadline = time.Minute

// seldom is an interval of which nothing falls into a test. A path is polled for the first time at some moment of
// its first interval, so that of an hour's a poll falls into the ten seconds of one test in some hundreds.
const seldom = 10_000 * time.Hour

var (
	worlds atomic.Int64
	shared = sync.OnceValues(func() (*devstack.Stack, error) { return alone() })
)

// alone starts a Vault without any cluster.
func alone() (*devstack.Stack, error) {
	return devstack.Start(context.Background(), devstack.Options{Clusters: []string{}, Progress: os.Stderr})
}

func TestMain(m *testing.M) {
	code := m.Run()
	if stack, err := shared(); err == nil {
		stack.Close()
	}
	os.Exit(code)
}

// world is one tenant with a prefix of its own in a real Vault that all tests
// share, and a broker that runs.
type world struct {
	t       *testing.T
	ctx     context.Context
	stack   *devstack.Stack
	vault   *devstack.Vault
	name    string
	dir     string
	cfg     access.Config
	o       Options
	b       *Broker
	logs    *testlog.Log
	changes chan struct{} // something changed
	stop    func()
}

type option func(*world)

func newWorld(t *testing.T, options ...option) *world {
	t.Helper()
	stack, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return newWorldOn(t, stack, options...)
}

func newWorldOn(t *testing.T, stack *devstack.Stack, options ...option) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, stack: stack, vault: stack.Vault, logs: &testlog.Log{}, dir: t.TempDir(), changes: make(chan struct{}, 1)}
	w.name = fmt.Sprintf("t%d-%d", os.Getpid(), worlds.Add(1))
	// What is answered at all is answered in less on any machine.
	w.cfg = access.Config{Address: w.vault.Address, Mount: "secret", Prefix: w.name, Token: w.vault.RootToken, Timeout: deadline / 2}
	w.o = Options{
		Tenant: w.name, Interval: time.Second,
		Log:     slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Changed: w.changed,
	}
	for _, option := range options {
		option(w)
	}
	w.must(w.cfg.Check())
	w.b = New(w.cfg, w.o)
	w.run()
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("log of %s:\n%s", w.name, w.logs)
		}
	})
	return w
}

func (w *world) run() {
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan struct{})
	w.b.Start(ctx, func() { close(ended) })
	w.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(deadline):
			w.t.Error("the broker did not end")
		}
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) changed() {
	select {
	case w.changes <- struct{}{}:
	default:
	}
}

// every is the interval of a world's polls.
func every(interval time.Duration) option { return func(w *world) { w.o.Interval = interval } }

// through puts a proxy before the vault.
func through(p **devstack.Proxy) option {
	return func(w *world) {
		w.t.Helper()
		proxy, err := w.vault.Proxy()
		w.must(err)
		w.t.Cleanup(proxy.Close)
		w.cfg.Address = proxy.URL
		*p = proxy
	}
}

// withAppRole logs in by AppRole, with tokens that live so long and may read the
// world's prefix.
func withAppRole(lifetime time.Duration) option {
	return func(w *world) {
		w.t.Helper()
		w.must(w.vault.ReadPolicy(w.ctx, w.name, "secret", w.name))
		role, id, err := w.vault.AppRole(w.ctx, w.name, lifetime, w.name)
		w.must(err)
		w.cfg.Token, w.cfg.AppRole = "", &access.AppRole{RoleID: role, SecretIDFile: w.file("secret-id", id)}
	}
}

// file writes a file, all at once, and returns its path.
func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	w.must(os.WriteFile(path+".new", []byte(content), 0o600))
	w.must(os.Rename(path+".new", path))
	return path
}

// put writes a new version of a value and returns its number.
func (w *world) put(path string, data map[string]any) int {
	w.t.Helper()
	version, err := w.vault.PutSecret(w.ctx, w.cfg.Mount, w.name+"/"+path, data)
	w.must(err)
	return version
}

// source follows a path for the length of the test.
func (w *world) source(path string) *Source { return w.b.Source(path, w.changed) }

// until waits for something to hold, and looks again at each change.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	end := time.After(deadline)
	for !holds() {
		select {
		case <-w.changes:
		case <-time.After(20 * time.Millisecond): // what nobody announces, such as Checked
		case <-end:
			w.t.Fatalf("it never came to this: %s; outage: %+v", what, w.b.Outage())
		}
	}
}

// holds waits until a source is at a version, and returns its value.
func (w *world) holds(s *Source, version int) *kv.Value {
	w.t.Helper()
	r := s.Request()
	defer r.Release()
	var v *kv.Value
	w.until(fmt.Sprintf("%s at version %d", s.Path(), version), func() bool {
		got, ok := r.Value()
		v = got
		return ok && got.Number == version && s.State().Version.Number == version
	})
	return v
}

// rest waits until no read of these sources is under way or to come. Who looks for a value while it is read has its
// metadata read after that.
func (w *world) rest(sources ...*Source) {
	w.t.Helper()
	w.until("rest", func() bool {
		w.b.mu.Lock()
		defer w.b.mu.Unlock()
		for _, s := range sources {
			if s.running || s.class != none {
				return false
			}
		}
		return true
	})
}

// fails waits until a source has a fault.
func (w *world) fails(s *Source, reason fault.Reason) *fault.Fault {
	w.t.Helper()
	var f *fault.Fault
	w.until(fmt.Sprintf("%s with %s", s.Path(), reason), func() bool {
		f = s.State().Fault
		return f != nil && f.Reason == reason
	})
	w.fit(f.Message)
	return f
}

// down waits until the vault is out for a reason, in these words where a request that is cut off may be told of
// before.
func (w *world) down(reason fault.Reason, words ...string) *fault.Outage {
	w.t.Helper()
	var o *fault.Outage
	w.until("an outage with "+string(reason)+" "+strings.Join(words, " "), func() bool {
		o = w.b.Outage()
		return o != nil && o.Reason == reason && strings.Contains(o.Message, strings.Join(words, " "))
	})
	w.fit(o.Message)
	return o
}

func (w *world) up() {
	w.t.Helper()
	w.until("no outage", func() bool { return w.b.Outage() == nil })
}

// fit checks that a message has nothing of the operator's in it.
func (w *world) fit(message string) {
	w.t.Helper()
	for _, secret := range []string{w.dir, "127.0.0.1", "/tmp", w.vault.RootToken, "dial", "lookup "} {
		if strings.Contains(message, secret) {
			w.t.Errorf("%q is in the message %q", secret, message)
		}
	}
}

// logged waits for a line with all these words.
func (w *world) logged(words ...string) string {
	w.t.Helper()
	var found string
	w.until("a line of log with "+strings.Join(words, ", "), func() bool {
		for line := range strings.Lines(w.logs.String()) {
			all := true
			for _, word := range words {
				all = all && strings.Contains(line, word)
			}
			if all {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// lines counts the log's lines with a word.
func (w *world) lines(word string) (n int) {
	for line := range strings.Lines(w.logs.String()) {
		if strings.Contains(line, word) {
			n++
		}
	}
	return n
}

// repeated returns a line that says of the vault what the line before said already. What it says may
// change by itself: a busy machine does not answer in time.
func (w *world) repeated() string {
	before := ""
	for line := range strings.Lines(w.logs.String()) {
		if !strings.Contains(line, `msg="vault usable"`) && !strings.Contains(line, `msg="vault unusable"`) {
			continue
		}
		_, said, _ := strings.Cut(line, "msg=")
		said, _, _ = strings.Cut(said, " detail=")
		if said == before {
			return line
		}
		before = said
	}
	return ""
}

// counted counts from now on the requests through a proxy that match.
func counted(p *devstack.Proxy, match func(*http.Request) bool) *atomic.Int64 {
	n := new(atomic.Int64)
	p.Inject(devstack.Fault{Match: func(r *http.Request) bool {
		if match(r) {
			n.Add(1)
		}
		return false // it befalls none
	}})
	return n
}

func about(part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
}
