package forward_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"secretsync/httpapi/forward"
)

// machine is a listener whose machine can vanish: from then on no packet gets to it, or to any of
// its connections, and nobody is told.
type machine struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (m *machine) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.conns = append(m.conns, c)
	}
	return c, err
}

// newMachine listens by plain TCP: that of several paths takes no filters.
func newMachine(t *testing.T) *machine {
	t.Helper()
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	return &machine{Listener: must(plain.Listen(t.Context(), "tcp", "127.0.0.1:0"))}
}

// vanish has the kernel drop all packets for the machine before TCP sees them, so that nothing is
// acknowledged and nothing refused.
func (m *machine) vanish(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}} // of each packet nothing is let through
	program := unix.SockFprog{Len: 1, Filter: &nothing[0]}
	for _, s := range append([]any{m.Listener}, anys(m.conns)...) {
		raw := must(s.(syscall.Conn).SyscallConn())
		var failed error
		if err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
		}); err != nil || failed != nil {
			t.Fatal(err, failed)
		}
	}
}

func anys[T any](of []T) []any {
	all := make([]any, len(of))
	for i := range of {
		all[i] = of[i]
	}
	return all
}

// TestAHolderWhoseMachineVanishes: connections to it that are kept, or that somebody waits at, are
// found out by what is not acknowledged, long before the tenant has another holder.
func TestAHolderWhoseMachineVanishes(t *testing.T) {
	for name, c := range map[string]struct {
		method, at string
		underWay   bool // it vanishes when it has the request
		kind       error
		says       string
	}{
		"a write is on its way":              {"POST", path, false, forward.ErrUnclear, "connection timed out"},
		"a write is being done":              {"POST", path, true, forward.ErrUnclear, "connection timed out"},
		"what only reads is asked once more": {"GET", path, false, forward.ErrUndone, "no connection: "},
		"the same while it is being done":    {"GET", path, true, forward.ErrUndone, "no connection: "},
		"something is waited for":            {"GET", path + "?wait=Active", true, forward.ErrUndone, "no connection: "},
		"events are waited for":              {"GET", "/console/live", true, forward.ErrUndone, "no connection: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, forward.Patience{Dial: 5 * time.Second, Reach: time.Second, Answer: time.Minute, Wait: time.Minute, Stream: time.Minute})
			m := newMachine(t)
			var underWay chan bool
			w.front.place.move(w.serve(w.server(func(rw http.ResponseWriter, r *http.Request) {
				if underWay != nil {
					close(underWay)
					<-r.Context().Done()
					return
				}
				io.WriteString(rw, "here")
			}), m, w.files()))
			if status, text, err := w.do(c.method, c.at, ""); status != 200 || err != nil {
				t.Fatal(status, text, err)
			}
			<-w.front.results
			if c.underWay {
				underWay = make(chan bool)
				go func() {
					<-underWay
					m.vanish(t)
				}()
			} else {
				m.vanish(t)
			}
			status, text, err := w.do(c.method, c.at, "")
			if result := <-w.front.results; status != http.StatusServiceUnavailable || err != nil || !errors.Is(result, c.kind) || !strings.Contains(text, c.says) {
				t.Errorf("%d %q %v, %v; want 503, %v and %q", status, text, err, result, c.kind, c.says)
			}
			// From here on nobody takes a connection that leads there: that there is none to be had is said at once, or soon.
			status, text, err = w.do("POST", path, "")
			if result := <-w.front.results; status != http.StatusServiceUnavailable || err != nil || !errors.Is(result, forward.ErrUndone) {
				t.Errorf("the next one: %d %q %v, %v", status, text, err, result)
			}
		})
	}
}

// TestAReadThatGotNowhereGoesToTheNewHolder: its machine vanished, and the tenant has another holder by the time that is known.
func TestAReadThatGotNowhereGoesToTheNewHolder(t *testing.T) {
	w := newWorld(t, forward.Patience{Reach: time.Second, Answer: time.Minute, Lost: time.Minute})
	m := newMachine(t)
	begun := make(chan bool, 1)
	first := true
	w.front.place.move(w.serve(w.server(func(rw http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			return
		}
		begun <- true
		<-r.Context().Done()
	}), m, w.files()))
	w.ask("GET", "")
	go func() {
		<-begun
		w.held(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "the new one") })
		m.vanish(t)
	}()
	if _, text := w.ask("GET", ""); text != "the new one" {
		t.Errorf("%q", text)
	}
}
