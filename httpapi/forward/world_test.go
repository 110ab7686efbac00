package forward_test

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"secretsync/gitstore"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/forward/forwardtest"
	"secretsync/httpapi/listen"
)

func TestMain(m *testing.M) {
	// A server rests for half a second before it closes a connection whose request it did not
	// read to its end; that is longer than goleak waits for anybody.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// place says where the one tenant is held. A test moves it.
type place struct {
	mu   sync.Mutex
	to   string
	mine bool
}

func (p *place) Holder(gitstore.TenantName) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.to, p.mine
}

func (p *place) Err() error { return nil }

func (p *place) move(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// take has the tenant held by the replica that is asked.
func (p *place) take() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to, p.mine = "", true
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pairOf(f forwardtest.Files, now func() time.Time) listen.Pair {
	return must(listen.OpenPair(f.Cert, f.Key, f.CA, slog.New(slog.DiscardHandler), now))
}

// holder is a replica that answers with a handler, over real TLS.
func (w *world) holder(files forwardtest.Files, handler http.HandlerFunc) (address string) {
	w.Helper()
	server := w.server(handler)
	return w.serve(server, must(net.Listen("tcp", "127.0.0.1:0")), files)
}

// server is one of a replica that is as old as the world's replicas.
func (w *world) server(handler http.HandlerFunc) *http.Server {
	server := listen.NewServer(handler, slog.New(slog.DiscardHandler))
	forward.ServePeers(server)
	if w.older {
		server.TLSNextProto = nil
	}
	return server
}

// serve has a server serve till the test ends, if it does not end before.
func (w *world) serve(server *http.Server, l net.Listener, files forwardtest.Files) (address string) {
	mutual := listen.Mutual(l, server, pairOf(files, time.Now), func(int, string) (http.Header, []byte) { return http.Header{}, nil })
	ended := make(chan error)
	go func() { ended <- server.Serve(mutual) }()
	w.Cleanup(func() {
		server.Close()
		<-ended
	})
	return l.Addr().String()
}

// front is a replica that passes on whatever it gets. Clients reach it at its URL.
type front struct {
	*httptest.Server
	place    *place
	registry *prometheus.Registry
	results  chan error    // what became of each request
	passed   chan struct{} // has room for one signal: some of an answer was passed on
}

// passing tells a front of what is passed on.
type passing struct {
	http.ResponseWriter
	*front
}

func (p passing) Write(b []byte) (int, error) {
	n, err := p.ResponseWriter.Write(b)
	select {
	case p.passed <- struct{}{}:
	default:
	}
	return n, err
}

// Unwrap lets [http.ResponseController] find the connection.
func (p passing) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func newFront(t *testing.T, files forwardtest.Files, patience forward.Patience) *front {
	t.Helper()
	f := &front{place: &place{}, registry: prometheus.NewRegistry(), results: make(chan error, 100), passed: make(chan struct{}, 1)}
	forwarder := must(forward.New(forward.Config{Holders: f.place, TLS: pairOf(files, time.Now).Dial(), Patience: patience, Metrics: f.registry}))
	tenant := must(gitstore.ParseTenantName("acme"))
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, _ := f.place.Holder(tenant)
		err := forwarder.Forward(passing{w, f}, r, forward.Call{Tenant: tenant, To: to, Origin: forward.Origin{Address: netip.MustParseAddr("192.0.2.7"), ID: "an-id"}})
		f.results <- err
		switch {
		case errors.Is(err, forward.ErrCutOff):
			panic(http.ErrAbortHandler)
		case err != nil:
			left, _ := io.ReadAll(r.Body)
			http.Error(w, err.Error()+"\n"+string(left), http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
		forwarder.Close()
	})
	return f
}

// counted is how many requests had an outcome.
func (f *front) counted(outcome string) (n float64) {
	for _, family := range must(f.registry.Gather()) {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if family.GetName() == "secretsync_forwards_total" && l.GetValue() == outcome {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// world is an authority with a front that it vouches for.
type world struct {
	*testing.T
	authority *forwardtest.Authority
	front     *front
	older     bool // its holders know HTTP/1.1 alone
}

// unhurried is the patience of a story that says nothing of it: a connection may take as long as
// a busy machine needs.
var unhurried = forward.Patience{Dial: time.Minute}

// newWorld makes a world whose front has a patience.
func newWorld(t *testing.T, patience forward.Patience) *world {
	patience.Dial = cmp.Or(patience.Dial, unhurried.Dial)
	w := &world{T: t, authority: must(forwardtest.NewAuthority())}
	w.front = newFront(t, w.files(), patience)
	return w
}

func (w *world) files() forwardtest.Files { return must(w.authority.Issue(w.TempDir())) }

// held has the tenant held by a replica that answers so.
func (w *world) held(handler http.HandlerFunc) { w.front.place.move(w.holder(w.files(), handler)) }

func (w *world) do(method, path, body string, header ...string) (status int, answer string, err error) {
	w.Helper()
	r := must(http.NewRequest(method, w.front.URL+path, strings.NewReader(body)))
	if body == "" {
		r.Body = nil
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	response, err := w.front.Client().Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

const path = "/api/v1/tenants/acme/secrets"

// nowhere is an address at which nobody listens. That of a listener that was closed may be somebody else's by now.
const nowhere = "127.0.0.1:1"
