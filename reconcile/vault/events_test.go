package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// notifier is a vault that tells of events, as Vault Enterprise does: what it is
// asked for at sys/events/subscribe it answers itself, all else the real one does.
type notifier struct {
	*httptest.Server
	t         *testing.T
	status    atomic.Int64 // answered in place of a connection, unless 0
	asked     atomic.Int64
	connected chan *subscriber
}

// subscriber is one connection to it.
type subscriber struct {
	conn    *websocket.Conn
	request *http.Request
	gone    chan struct{} // closed when the other side is
}

// notifying puts one before a world's vault, whose paths are hardly ever polled.
func notifying(n **notifier) option {
	return func(w *world) {
		w.t.Helper()
		real, err := url.Parse(w.cfg.Address)
		w.must(err)
		pass := httputil.NewSingleHostReverseProxy(real)
		it := &notifier{t: w.t, connected: make(chan *subscriber, 16)}
		var open sync.WaitGroup
		it.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/v1/sys/events/") {
				pass.ServeHTTP(rw, r)
				return
			}
			open.Add(1)
			defer open.Done()
			it.asked.Add(1)
			if status := it.status.Load(); status != 0 {
				http.Error(rw, `{"errors":["no"]}`, int(status))
				return
			}
			conn, err := websocket.Accept(rw, r, nil)
			if err != nil {
				w.t.Error(err)
				return
			}
			s := &subscriber{conn: conn, request: r, gone: make(chan struct{})}
			it.connected <- s
			// Reads, so that pings are answered, until the other side goes.
			<-conn.CloseRead(w.ctx).Done()
			close(s.gone)
		}))
		w.t.Cleanup(func() {
			it.CloseClientConnections()
			it.Close()
		})
		w.cfg.Address, w.cfg.Events = it.URL, true
		w.o.Interval, w.o.Least = seldom, 20*time.Millisecond
		*n = it
	}
}

// subscriber waits for the next connection.
func (n *notifier) subscriber() *subscriber {
	n.t.Helper()
	select {
	case s := <-n.connected:
		return s
	case <-time.After(deadline):
		n.t.Fatal("nobody follows the events")
		return nil
	}
}

func (s *subscriber) send(t *testing.T, frames ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	for _, frame := range frames {
		if err := s.conn.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
}

// told is an event as Vault 1.18 writes it.
func told(kind, namespace, mount, path, dataPath string) string {
	metadata := map[string]string{"modified": "true", "operation": kind, "path": path}
	if dataPath != "" {
		metadata["data_path"] = dataPath
		metadata["current_version"] = "2"
		metadata["oldest_version"] = "0"
	}
	text, _ := json.Marshal(map[string]any{
		"id": "a3be9fb1-b514-519f-5b25-b6f144a8c1ce", "source": "https://vaultproject.io/", "specversion": "1.0",
		"type": "*", "datacontentype": "application/cloudevents", "time": "2026-11-12T15:19:49.394915-07:00",
		"data": map[string]any{
			"event":      map[string]any{"id": "a3be9fb1-b514-519f-5b25-b6f144a8c1ce", "metadata": metadata},
			"event_type": "kv-v2/" + kind, "namespace": namespace,
			"plugin_info": map[string]any{
				"mount_class": "secret", "mount_accessor": "kv_5dc4d18e", "mount_path": mount + "/", "plugin": "kv", "version": "2",
			},
		},
	})
	return string(text)
}

// wrote is the event of a write to one of a world's paths.
func (w *world) wrote(path string) string {
	at := "secret/data/" + w.name + "/" + path
	return told("data-write", "", "secret", at, at)
}

func TestAnEventHasItsPathReadAtOnceAndNoOther(t *testing.T) {
	t.Parallel()
	var n *notifier
	noticed := make(chan string, 16)
	w := newWorld(t, notifying(&n), func(w *world) {
		w.o.Noticed = func(outcome string) { noticed <- outcome }
	})
	w.put("db", map[string]any{"a": "1"})
	w.put("other", map[string]any{"a": "1"})
	s, other := w.source("db"), w.source("other")
	w.holds(s, 1)
	w.holds(other, 1)
	w.rest(s, other)
	to := n.subscriber()
	if got := to.request.Header.Get("X-Vault-Token"); got != w.cfg.Token {
		t.Error("it is not followed with the tenant's token")
	}
	if at := to.request.URL; at.Path != "/v1/sys/events/subscribe/kv*" || at.RawQuery != "json=true" {
		t.Errorf("asked for %s", at)
	}
	later := w.source("later") // followed only since
	w.put("db", map[string]any{"a": "2"})
	w.put("other", map[string]any{"a": "2"})
	w.put("later", map[string]any{"a": "1"})
	to.send(t, w.wrote("db"), w.wrote("later"), w.wrote("nobodys"),
		told("data-write", "", "secret", "secret/data/foreign/db", "secret/data/foreign/db"),
		told("data-write", "", "kv", "kv/data/"+w.name+"/other", "kv/data/"+w.name+"/other"),
		told("data-write", "elsewhere/", "secret", "secret/data/"+w.name+"/other", "secret/data/"+w.name+"/other"))
	w.until("the changes are seen", func() bool { return s.State().Version.Number == 2 && later.State().Version.Number == 1 })
	for i, want := range []string{EventMatched, EventMatched, EventUnmatched, EventUnmatched, EventUnmatched, EventUnmatched} {
		if got := <-noticed; got != want {
			t.Errorf("event %d was %s, want %s", i, got, want)
		}
	}
	if v := other.State().Version.Number; v != 1 {
		t.Errorf("an event of another mount, prefix or namespace had a path read: version %d", v)
	}
	w.must(w.vault.Client.KVv2("secret").Delete(w.ctx, w.name+"/db"))
	to.send(t, told("delete", "", "secret", "secret/delete/"+w.name+"/db", ""))
	w.fails(s, "ValueDeleted")
	if wanted, followed := w.b.Events(); !wanted || !followed {
		t.Errorf("wanted %v, followed %v", wanted, followed)
	}
	w.stop()
	select {
	case <-to.gone:
	case <-time.After(deadline):
		t.Error("the connection outlived Run")
	}
}

func TestGarbageAndFloodsOfEventsDoNoHarm(t *testing.T) {
	t.Parallel()
	var n *notifier
	unreadable := new(atomic.Int64)
	w := newWorld(t, notifying(&n), func(w *world) {
		w.o.Noticed = func(outcome string) {
			if outcome == EventUnreadable {
				unreadable.Add(1)
			}
		}
	})
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	w.holds(s, 1)
	w.rest(s)
	to := n.subscriber()
	garbage := []string{"", "null", "[]", `"x"`, "{", `{"data":7}`, `{"data":{"event":{"metadata":{"path":3}}}}`, "\x00\xff", strings.Repeat("[", 100000)}
	to.send(t, garbage...)
	w.put("db", map[string]any{"a": "2"})
	for range 2000 {
		to.send(t, w.wrote("db"))
	}
	w.until("the change is seen", func() bool { return s.State().Version.Number == 2 })
	if got := unreadable.Load(); got != int64(len(garbage)) {
		t.Errorf("%d frames of %d were unreadable", got, len(garbage))
	}
	// One that is too long ends the connection, and another is made.
	to.send(t, strings.Repeat("x", 256<<10+1))
	to = n.subscriber()
	w.put("db", map[string]any{"a": "3"})
	to.send(t, w.wrote("db"))
	w.until("the change is seen", func() bool { return s.State().Version.Number == 3 })
}

func TestAConnectionThatIsLostIsMadeAgain(t *testing.T) {
	t.Parallel()
	var n *notifier
	w := newWorld(t, notifying(&n))
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	w.holds(s, 1)
	version := 1
	for range 2 {
		to := n.subscriber()
		version = w.put("db", map[string]any{"a": fmt.Sprint(version)})
		to.send(t, w.wrote("db"))
		w.until("the change is seen", func() bool { return s.State().Version.Number == version })
		w.must(to.conn.CloseNow())
	}
	n.status.Store(http.StatusBadGateway)
	failed := n.asked.Load()
	w.until("it is asked for again", func() bool { return n.asked.Load() > failed })
	n.status.Store(0)
	n.subscriber()
}

func TestAnotherTokenOrPlaceHasAnotherConnection(t *testing.T) {
	t.Parallel()
	var n *notifier
	w := newWorld(t, notifying(&n), withAppRole(time.Hour))
	w.source("db")
	first := n.subscriber()
	w.b.mu.Lock()
	w.b.session.again, w.b.session.because = true, "the test wants it"
	w.b.mu.Unlock()
	w.b.poke()
	second := n.subscriber()
	if a, b := first.request.Header.Get("X-Vault-Token"), second.request.Header.Get("X-Vault-Token"); a == "" || a == b {
		t.Error("the connection does not have the new login's token")
	}
	<-first.gone

	moved := w.cfg
	moved.Namespace = "elsewhere"
	moved.AuthNamespace = "root"
	w.b.Configure(moved, seldom, 0, 0)
	third := n.subscriber()
	if got := third.request.Header.Get("X-Vault-Namespace"); got != "elsewhere" {
		t.Errorf("events of namespace %q are followed", got)
	}
	<-second.gone

	without := moved
	without.Events = false
	w.b.Configure(without, seldom, 0, 0)
	<-third.gone
	w.until("no connection", func() bool { wanted, followed := w.b.Events(); return !wanted && !followed })
}

func TestAVaultWithoutEventsIsPolledAndAskedForThemOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		words  string
	}{
		"it knows no such path":  {http.StatusNotFound, "vault has no event notifications"},
		"it does not support it": {http.StatusBadRequest, "vault has no event notifications"},
		"it speaks no WebSocket": {http.StatusOK, "vault has no event notifications"},
		"the policy forbids it":  {http.StatusForbidden, "does not let the tenant's login follow event notifications"},
		"it is the real vault":   {0, "vault has no event notifications"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n *notifier
			var real string
			w := newWorld(t, func(w *world) { real = w.cfg.Address }, notifying(&n), func(w *world) {
				w.o.Interval = 100 * time.Millisecond
				if c.status == 0 {
					w.cfg.Address = real
				}
			})
			n.status.Store(int64(c.status))
			w.put("db", map[string]any{"a": "1"})
			s := w.source("db")
			w.holds(s, 1)
			w.logged(c.words)
			w.put("db", map[string]any{"a": "2"})
			w.until("the change is seen by a poll", func() bool { return s.State().Version.Number == 2 })
			if asked := n.asked.Load(); asked > 1 || w.lines("event notifications") != 1 {
				t.Errorf("asked for %d times, and told %d times", asked, w.lines("event notifications"))
			}
		})
	}
}
