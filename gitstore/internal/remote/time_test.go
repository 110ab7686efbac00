package remote_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/remote"
)

// openWith returns the remote at settings, with hosts that others share.
func openWith(tb testing.TB, hosts *remote.Hosts, s remote.Settings) *remote.Remote {
	tb.Helper()
	e, err := remote.ParseEndpoint(s)
	if err != nil {
		tb.Fatal(err)
	}
	r := remote.New(e, hosts)
	tb.Cleanup(r.Close)
	return r
}

func newHosts(tb testing.TB, cfg remote.HostsConfig) *remote.Hosts {
	tb.Helper()
	hosts := remote.NewHosts(cfg)
	tb.Cleanup(hosts.Close)
	return hosts
}

func TestWhatStallsEndsWithItsTimeout(t *testing.T) {
	for _, at := range []step{hearFetch, listRefs, fetchPack, hearPush, pushPack} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			first := s.commit("main", "a", "1")
			clock := clocktesting.NewFakeClock(time.Unix(1700000000, 0))
			reached := make(chan struct{}, 10)
			front := &faulty{real: s.handler()}
			front.set(at, func(w http.ResponseWriter, r *http.Request, real http.Handler) {
				sendPart(w, r, real)
				reached <- struct{}{}
				<-r.Context().Done()
			})
			r := openWith(t, newHosts(t, remote.HostsConfig{Clock: clock}), remote.Settings{URL: listen(t, front).URL + "/acme.git"})
			ended := make(chan error, 1)
			go func() { ended <- touchAll(t.Context(), r, first) }()
			<-reached
			for {
				select {
				case err := <-ended:
					want := remote.Unavailable
					if at == pushPack {
						want = remote.Unknown
					}
					if !errors.Is(err, want) || !strings.Contains(err.Error(), "within 30s") {
						t.Errorf("got %v", err)
					}
					return
				default:
					// The reader may not yet wait: the clock goes on until it has ended.
					clock.Step(time.Second)
				}
			}
		})
	}
}

// touchAll goes through all steps of the protocol.
func touchAll(ctx context.Context, r *remote.Remote, want object.Hash) error {
	if _, err := r.Refs(ctx); err != nil {
		return err
	}
	if err := r.Fetch(ctx, remote.Wanted{Wants: []object.Hash{want}, MaxBytes: 1 << 20}, discard); err != nil {
		return err
	}
	session, err := r.OpenPush(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Push(ctx, []remote.Update{{Ref: "refs/heads/side", New: want, Old: session.Refs.Hashes["refs/heads/side"]}}, emptyPack)
}

func TestASilentServerOfSSHEndsWithItsTimeout(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			accepted <- conn
		}
	}()
	t.Cleanup(func() { listener.Close() })
	s := newServer(t)
	_, settings := serveSSH(t, s)
	settings.URL = "ssh://git@" + listener.Addr().String() + "/acme.git"
	clock := clocktesting.NewFakeClock(time.Unix(1700000000, 0))
	r := openWith(t, newHosts(t, remote.HostsConfig{Clock: clock}), settings)
	ended := make(chan error, 1)
	go func() { _, err := r.Refs(t.Context()); ended <- err }()
	defer (<-accepted).Close()
	for {
		select {
		case err := <-ended:
			if !errors.Is(err, remote.Unavailable) || !strings.Contains(err.Error(), "within 30s") {
				t.Errorf("got %v", err)
			}
			return
		default:
			clock.Step(time.Second)
		}
	}
}

func TestWhoGivesUpIsLetGo(t *testing.T) {
	s := newServer(t)
	s.commit("main", "a", "1")
	front := &faulty{real: s.handler()}
	ctx, cancel := context.WithCancel(t.Context())
	front.set(hearFetch, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		cancel()
		<-r.Context().Done()
	})
	r := open(t, remote.Settings{URL: listen(t, front).URL + "/acme.git"})
	if _, err := r.Refs(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, remote.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAHostIsLeftAloneByAllWhenItSaysSo(t *testing.T) {
	s := newServer(t)
	s.commit("main", "a", "1")
	front := &faulty{real: s.handler()}
	var asked atomic.Int32
	server := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		front.ServeHTTP(w, r)
	}))
	clock := clocktesting.NewFakeClock(time.Unix(1700000000, 0))
	hosts := newHosts(t, remote.HostsConfig{Clock: clock})
	one := openWith(t, hosts, remote.Settings{URL: server.URL + "/acme.git"})
	other := openWith(t, hosts, remote.Settings{URL: server.URL + "/other.git"})
	front.set(hearFetch, status(http.StatusServiceUnavailable, "Retry-After", "120"))
	for _, r := range []*remote.Remote{one, other} {
		_, err := r.Refs(t.Context())
		e, ok := errors.AsType[*remote.Error](err)
		if !ok || e.Kind != remote.Throttled || e.After != 2*time.Minute {
			t.Errorf("got %v", err)
		}
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("%d requests reached the host, want 1", got)
	}
	front.set("", nil)
	clock.Step(2 * time.Minute)
	if _, err := one.Refs(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheLastRequestOfALimitIsAnsweredAndTheNextWaits(t *testing.T) {
	s := newServer(t)
	s.commit("main", "a", "1")
	h := s.handler()
	now := time.Unix(1700000000, 0)
	r := openWith(t, newHosts(t, remote.HostsConfig{Clock: clocktesting.NewFakeClock(now)}), remote.Settings{
		URL: listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.Header().Set("X-RateLimit-Remaining", "0")
				w.Header().Set("X-RateLimit-Reset", "1700000600")
			}
			h.ServeHTTP(w, r)
		})).URL + "/acme.git"})
	if _, err := r.Refs(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.Refs(t.Context())
	if e, ok := errors.AsType[*remote.Error](err); !ok || e.Kind != remote.Throttled || e.After != 10*time.Minute {
		t.Errorf("got %v", err)
	}
}

func TestAHostHasSomeExchangesAtATime(t *testing.T) {
	s := newServer(t)
	s.commit("main", "a", "1")
	h := s.handler()
	var now, most atomic.Int32
	server := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		h.ServeHTTP(w, r)
	}))
	hosts := newHosts(t, remote.HostsConfig{PerHost: 2})
	ended := make(chan error)
	const remotes = 8
	for range remotes {
		r := openWith(t, hosts, remote.Settings{URL: server.URL + "/acme.git"})
		go func() { _, err := r.Refs(t.Context()); ended <- err }()
	}
	for range remotes {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if most.Load() > 2 {
		t.Errorf("%d at a time", most.Load())
	}
}

func TestRemotesOfAHostShareConnections(t *testing.T) {
	s := newServer(t)
	s.commit("main", "a", "1")
	var connections atomic.Int32
	server := listen(t, s.handler(), func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	})
	hosts := newHosts(t, remote.HostsConfig{})
	for range 5 {
		r := openWith(t, hosts, remote.Settings{URL: server.URL + "/acme.git"})
		if _, err := r.Refs(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := connections.Load(); got != 1 {
		t.Errorf("five remotes made %d connections", got)
	}
}
