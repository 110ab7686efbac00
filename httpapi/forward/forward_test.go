package forward_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"secretsync/gitstore"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/forward/forwardtest"
	"secretsync/httpapi/listen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pairOf(f forwardtest.Files, now func() time.Time) listen.Pair {
	return listen.Pair{
		Own:       must(listen.OpenCertificate(f.Cert, f.Key, slog.New(slog.DiscardHandler), now)),
		Authority: must(listen.OpenAuthority(f.CA, slog.New(slog.DiscardHandler), now)),
		Now:       now,
	}
}

// holder is a replica that answers with a handler, over real TLS.
func holder(t *testing.T, files forwardtest.Files, handler http.HandlerFunc) (address string) {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	server := listen.NewServer(forward.FromPeers(handler), slog.New(slog.DiscardHandler))
	mutual := listen.Mutual(l, server, pairOf(files, time.Now), func(int, string) (http.Header, []byte) { return http.Header{}, nil })
	ended := make(chan error)
	go func() { ended <- server.Serve(mutual) }()
	t.Cleanup(func() {
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
	results  chan error // what became of each request
}

func newFront(t *testing.T, files forwardtest.Files, patience forward.Patience) *front {
	t.Helper()
	f := &front{place: &place{}, registry: prometheus.NewRegistry(), results: make(chan error, 100)}
	forwarder := must(forward.New(forward.Config{Holders: f.place, TLS: pairOf(files, time.Now).Dial(), Patience: patience, Metrics: f.registry}))
	tenant := must(gitstore.ParseTenantName("acme"))
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, _ := f.place.Holder(tenant)
		err := forwarder.Forward(w, r, forward.Call{Tenant: tenant, To: to, Origin: forward.Origin{Address: netip.MustParseAddr("192.0.2.7"), ID: "an-id"}})
		f.results <- err
		switch {
		case errors.Is(err, forward.ErrCutOff):
			panic(http.ErrAbortHandler)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
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
}

func newWorld(t *testing.T, patience forward.Patience) *world {
	w := &world{T: t, authority: must(forwardtest.NewAuthority())}
	w.front = newFront(t, w.files(), patience)
	return w
}

func (w *world) files() forwardtest.Files { return must(w.authority.Issue(w.TempDir())) }

// held has the tenant held by a replica that answers so.
func (w *world) held(handler http.HandlerFunc) { w.front.place.move(holder(w.T, w.files(), handler)) }

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

func TestARequestAndItsAnswerPassAsTheyAre(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	got := make(chan *http.Request, 1)
	w.held(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(bytes.NewReader(must(io.ReadAll(r.Body))))
		got <- r
		w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
		w.Header().Add("Warning", "one")
		w.Header().Add("Warning", "two")
		w.Header().Set("Etag", `"abc"`)
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "no coffee")
	})
	r := must(http.NewRequest("PATCH", w.front.URL+path+"/a%2Fb?x=1;y&z=%zz", strings.NewReader(`{"a":1}`)))
	r.Host = "secretsync.example.org"
	r.Header = http.Header{
		"If-Match": {`"a"`, `"b"`}, "Cookie": {"a=b"}, "Authorization": {"Bearer x"}, "X-Request-Id": {"forged"},
		"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}, "Forwarded": {"for=6.6.6.6"},
		"X-Secretsync-Undone": {"true"}, "Idempotency-Key": {"k"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}, "Upgrade": {"h2c"},
	}
	response := must(w.front.Client().Do(r))
	defer response.Body.Close()
	body := string(must(io.ReadAll(response.Body)))
	if response.StatusCode != http.StatusTeapot || body != "no coffee" || response.Header.Get("Etag") != `"abc"` || len(response.Header["Warning"]) != 2 || response.Header["X-Request-Id"][0] != "an-id" {
		t.Errorf("the answer came as %d %v %q", response.StatusCode, response.Header, body)
	}
	in := <-got
	if in.Method != "PATCH" || in.RequestURI != path+"/a%2Fb?x=1;y&z=%zz" || in.Host != "secretsync.example.org" {
		t.Errorf("%s %s for %s", in.Method, in.RequestURI, in.Host)
	}
	if b := must(io.ReadAll(in.Body)); string(b) != `{"a":1}` || in.ContentLength != 7 {
		t.Errorf("the body came as %q (%d)", b, in.ContentLength)
	}
	origin, ok := forward.OriginOf(in)
	if want := (forward.Origin{Address: netip.MustParseAddr("192.0.2.7"), ID: "an-id"}); !ok || origin != want {
		t.Errorf("the origin came as %+v; want %+v", origin, want)
	}
	for name, want := range map[string]string{"If-Match": `"a" "b"`, "Cookie": "a=b", "Authorization": "Bearer x", "X-Request-Id": "an-id"} {
		if got := strings.Join(in.Header[name], " "); got != want {
			t.Errorf("%s came as %q; want %q", name, got, want)
		}
	}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Idempotency-Key", "Connection", "X-Hop", "Upgrade"} {
		if v, ok := in.Header[name]; ok {
			t.Errorf("%s came as %q", name, v)
		}
	}
	if n := w.front.counted("answered"); n != 1 {
		t.Errorf("%v are counted as answered; want 1", n)
	}
}

// TestWhatComesToNothing holds what a front says of a request that it has no answer to,
// and that no request is ever seen twice.
func TestWhatComesToNothing(t *testing.T) {
	stranger := must(forwardtest.NewAuthority())
	for name, c := range map[string]struct {
		held    func(w *world, saw func())
		undone  bool
		says    string
		outcome string
	}{
		"nobody listens there": {func(w *world, _ func()) {
			l := must(net.Listen("tcp", "127.0.0.1:0"))
			l.Close()
			w.front.place.move(l.Addr().String())
		}, true, "connection refused", "undone"},
		"what listens there never shakes hands": {func(w *world, _ func()) {
			l := must(net.Listen("tcp", "127.0.0.1:0"))
			w.Cleanup(func() { l.Close() })
			w.front.place.move(l.Addr().String())
		}, true, "deadline exceeded", "undone"},
		"its certificate is another authority's": {func(w *world, saw func()) {
			files := must(stranger.Issue(w.TempDir()))
			must(0, w.authority.Trust(files.CA)) // it would take ours
			w.front.place.move(holder(w.T, files, func(http.ResponseWriter, *http.Request) { saw() }))
		}, true, "unknown authority", "undone"},
		"its certificate is good for a client only": {func(w *world, saw func()) {
			files := must(w.authority.IssueFor(w.TempDir(), x509.ExtKeyUsageClientAuth))
			w.front.place.move(holder(w.T, files, func(http.ResponseWriter, *http.Request) { saw() }))
		}, true, "incompatible key usage", "undone"},
		"it takes ours for another authority's": {func(w *world, saw func()) {
			files := must(w.authority.Issue(w.TempDir()))
			must(0, stranger.Trust(files.CA))
			w.front.place.move(holder(w.T, files, func(http.ResponseWriter, *http.Request) { saw() }))
		}, true, "bad certificate", "undone"},
		"it hangs up without an answer": {func(w *world, saw func()) {
			w.held(func(http.ResponseWriter, *http.Request) {
				saw()
				panic(http.ErrAbortHandler)
			})
		}, false, "did not answer", "unclear"},
		"it hangs": {func(w *world, saw func()) {
			w.held(func(_ http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				saw()
				<-r.Context().Done() // it is told when it is given up
			})
		}, false, "silent for too long", "unclear"},
		"the tenant moves while it hangs": {func(w *world, saw func()) {
			w.held(func(_ http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				saw()
				w.front.place.move("127.0.0.1:1")
				<-r.Context().Done()
			})
		}, false, "another holder", "unclear"},
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			t.Run(name+", "+method, func(t *testing.T) {
				patience := forward.Patience{Dial: 300 * time.Millisecond, Answer: 2 * time.Second, Lost: 50 * time.Millisecond}
				if c.says == "silent for too long" {
					patience.Answer = 300 * time.Millisecond
				}
				w := newWorld(t, patience)
				var seen atomic.Int64
				c.held(w, func() { seen.Add(1) })
				body := ""
				if method == "POST" {
					body = `{"name":"db"}`
				}
				status, text, err := w.do(method, path, body, "Idempotency-Key: k")
				result := <-w.front.results
				if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(text, c.says) {
					t.Errorf("%d %q %v; want 503 and %q", status, text, err, c.says)
				}
				if errors.Is(result, forward.ErrUndone) != c.undone || errors.Is(result, forward.ErrUnclear) == c.undone {
					t.Errorf("it ends with %v; undone: want %v", result, c.undone)
				}
				if n, most := seen.Load(), int64(1); n > most || n > 0 && c.undone {
					t.Errorf("it was seen %d times", n)
				}
				if n := w.front.counted(c.outcome); n != 1 {
					t.Errorf("%v are counted as %s; want 1", n, c.outcome)
				}
			})
		}
	}
}

// TestAWriteIsNotSentAgainOnAConnectionThatWasUsed: net/http would send a request without a
// body again, if it bore an Idempotency-Key or were one that reads.
func TestAWriteIsNotSentAgainOnAConnectionThatWasUsed(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	var writes atomic.Int64
	w.held(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			writes.Add(1)
			panic(http.ErrAbortHandler)
		}
	})
	for range 3 {
		if status, text, err := w.do("GET", path, ""); status != 200 || err != nil {
			t.Fatal(status, text, err)
		}
		if status, _, _ := w.do("POST", path+":revert", "", "Idempotency-Key: k", "X-Idempotency-Key: k"); status != 503 {
			t.Errorf("a write without an answer is %d", status)
		}
	}
	if n := writes.Load(); n != 3 {
		t.Errorf("3 writes were seen %d times", n)
	}
}

func TestARequestThatGotNowhereGoesToTheNewHolderWithItsBody(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	w.held(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	alive, _ := w.front.place.Holder(gitstore.TenantName{})
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	dead := l.Addr().String()
	l.Close()
	holders := &moving{first: dead, then: alive}
	forwarder := must(forward.New(forward.Config{Holders: holders, TLS: pairOf(w.files(), time.Now).Dial()}))
	t.Cleanup(forwarder.Close)
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := forwarder.Forward(rw, r, forward.Call{To: dead, Origin: forward.Origin{ID: "an-id"}}); err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	defer front.Close()
	response := must(front.Client().Post(front.URL+path, "text/plain", strings.NewReader("the body")))
	defer response.Body.Close()
	if body := must(io.ReadAll(response.Body)); response.StatusCode != 200 || string(body) != "the body" {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	front.CloseClientConnections()
}

// moving is a tenant that moved while it was being dialed.
type moving struct{ first, then string }

func (m *moving) Holder(gitstore.TenantName) (string, bool) { return m.then, false }
func (m *moving) Err() error                                { return nil }

func TestAnAnswerThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	w.held(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "the beginning")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	_, text, err := w.do("GET", path, "")
	if err == nil {
		t.Errorf("read %q to its end", text)
	}
	if result := <-w.front.results; !errors.Is(result, forward.ErrCutOff) {
		t.Errorf("it ends with %v", result)
	}
}

func TestAClientThatGoesAwayTakesItsRequestAtTheHolderWithIt(t *testing.T) {
	for _, at := range []string{path, path + "?wait=Active", "/console/live", "/git/acme.git/info/refs"} {
		w := newWorld(t, forward.Patience{})
		begun, ended := make(chan bool), make(chan bool)
		w.held(func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			close(ended)
			panic(http.ErrAbortHandler) // an answer could yet get there, if it were quick
		})
		ctx, cancel := context.WithCancel(t.Context())
		r := must(http.NewRequestWithContext(ctx, "GET", w.front.URL+at, nil))
		gone := make(chan error)
		go func() {
			_, err := w.front.Client().Do(r)
			gone <- err
		}()
		<-begun
		cancel()
		<-ended
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if result := <-w.front.results; !errors.Is(result, context.Canceled) {
			t.Errorf("it ends with %v", result)
		}
		if n := w.front.counted("left"); n != 1 {
			t.Errorf("%s: %v are counted as left; want 1", at, n)
		}
	}
}

// TestGitIsPassedOnInBothDirectionsAtOnce: each line of the request is answered before the
// next is written.
func TestGitIsPassedOnInBothDirectionsAtOnce(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	w.held(func(rw http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(rw)
		c.EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintf(rw, "got %s\n", lines.Text())
			c.Flush()
		}
	})
	body, pen := io.Pipe()
	r := must(http.NewRequest("POST", w.front.URL+"/git/acme.git/git-receive-pack", body))
	go io.WriteString(pen, "0\n")
	response := must(w.front.Client().Do(r))
	defer response.Body.Close()
	answers := bufio.NewScanner(response.Body)
	for i := range 100 {
		if !answers.Scan() || answers.Text() != fmt.Sprintf("got %d", i) {
			t.Fatalf("line %d is answered by %q %v", i, answers.Text(), answers.Err())
		}
		fmt.Fprintf(pen, "%d\n", i+1)
	}
	pen.Close()
	if !answers.Scan() || answers.Scan() {
		t.Error("more or less than was to come")
	}
}

func TestEventsComeAsTheyHappen(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	more := make(chan string)
	w.held(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		c := http.NewResponseController(rw)
		for event := range more {
			io.WriteString(rw, event+"\n")
			c.Flush()
		}
	})
	go func() { more <- "first" }()
	response := must(w.front.Client().Get(w.front.URL + "/console/live"))
	defer response.Body.Close()
	events := bufio.NewScanner(response.Body)
	for _, next := range []string{"second", "third", ""} {
		if !events.Scan() {
			t.Fatal(events.Err())
		}
		if next != "" {
			more <- next
		}
	}
	close(more)
}

func TestABodyIsSentOnlyIfTheHolderWantsIt(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		w := newWorld(t, forward.Patience{})
		w.held(func(rw http.ResponseWriter, r *http.Request) {
			if !wanted {
				http.Error(rw, "no", http.StatusUnauthorized)
				return
			}
			io.Copy(rw, r.Body)
		})
		c := must(net.Dial("tcp", strings.TrimPrefix(w.front.URL, "http://")))
		defer c.Close()
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", path)
		in := bufio.NewReader(c)
		line := must(in.ReadString('\n'))
		if want := map[bool]string{true: "100", false: "401"}[wanted]; !strings.Contains(line, want) {
			t.Errorf("the body is asked for with %q; want %s", line, want)
		}
		if !wanted {
			continue
		}
		must(in.ReadString('\n'))
		io.WriteString(c, "hello")
		response := must(http.ReadResponse(in, nil))
		if body := must(io.ReadAll(response.Body)); string(body) != "hello" {
			t.Errorf("%d %q", response.StatusCode, body)
		}
	}
}

func TestABodyThatIsCutOffIsNotTheHoldersFault(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	w.held(func(rw http.ResponseWriter, r *http.Request) { io.Copy(rw, r.Body) })
	c := must(net.Dial("tcp", strings.TrimPrefix(w.front.URL, "http://")))
	defer c.Close()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello", path)
	if result := <-w.front.results; !errors.Is(result, forward.ErrBody) {
		t.Errorf("it ends with %v", result)
	}
}

// TestWhoIsNoReplicaGetsNoRequestThrough tries the other end: a client of the peer listener.
func TestWhoIsNoReplicaGetsNoRequestThrough(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	seen := false
	w.held(func(http.ResponseWriter, *http.Request) { seen = true })
	to, _ := w.front.place.Holder(gitstore.TenantName{})
	stranger := must(must(forwardtest.NewAuthority()).Issue(t.TempDir()))
	must(0, w.authority.Trust(stranger.CA)) // it would take theirs
	serverOnly := must(w.authority.IssueFor(t.TempDir(), x509.ExtKeyUsageServerAuth))
	for name, files := range map[string]forwardtest.Files{"of another authority": stranger, "good for a server only": serverOnly} {
		transport := &http.Transport{TLSClientConfig: pairOf(files, time.Now).Dial()}
		response, err := transport.RoundTrip(must(http.NewRequest("GET", "https://"+to+path, nil)))
		if err == nil {
			response.Body.Close()
			t.Errorf("a certificate %s: %s", name, response.Status)
		}
		transport.CloseIdleConnections()
	}
	nobody := pairOf(stranger, time.Now).Dial()
	nobody.GetClientCertificate = nil
	transport := &http.Transport{TLSClientConfig: nobody}
	defer transport.CloseIdleConnections()
	if response, err := transport.RoundTrip(must(http.NewRequest("GET", "https://"+to+path, nil))); err == nil {
		response.Body.Close()
		t.Error("without a certificate:", response.Status)
	}
	if response, err := http.Get("http://" + to + path); err == nil {
		response.Body.Close()
		if response.StatusCode < 400 {
			t.Error("without TLS:", response.Status)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if seen {
		t.Error("a request got through")
	}
}

// TestAuthoritiesAndCertificatesAreReplacedWhileTheyAreInUse rolls over to another authority
// the way it is done: first both are trusted, then certificates are replaced, then the old
// one is dropped.
func TestAuthoritiesAndCertificatesAreReplacedWhileTheyAreInUse(t *testing.T) {
	var clock atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(clock.Load())) }
	older, newer := must(forwardtest.NewAuthority()), must(forwardtest.NewAuthority())
	dirs := []string{t.TempDir(), t.TempDir()}
	files := []forwardtest.Files{must(older.Issue(dirs[0])), must(older.Issue(dirs[1]))}
	pairs := []listen.Pair{pairOf(files[0], now), pairOf(files[1], now)}

	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })}
	mutual := listen.Mutual(must(net.Listen("tcp", "127.0.0.1:0")), server, pairs[0], func(int, string) (http.Header, []byte) { return http.Header{}, nil })
	ended := make(chan error)
	go func() { ended <- server.Serve(mutual) }()
	defer func() {
		server.Close()
		<-ended
	}()
	ask := func() error {
		transport := &http.Transport{TLSClientConfig: pairs[1].Dial()}
		defer transport.CloseIdleConnections()
		response, err := transport.RoundTrip(must(http.NewRequest("GET", "https://"+mutual.Addr().String(), nil)))
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	later := func() { clock.Add(int64(time.Minute)) }
	for _, step := range []struct {
		what string
		do   func()
		ok   bool
	}{
		{"as it began", func() {}, true},
		{"one trusts both", func() { must(0, older.Trust(files[0].CA, newer)) }, true},
		{"both trust both", func() { must(0, older.Trust(files[1].CA, newer)) }, true},
		{"half a file", func() { must(0, os.WriteFile(files[1].CA, []byte("-----BEGIN CERT"), 0o600)) }, true},
		{"it is whole again", func() { must(0, older.Trust(files[1].CA, newer)) }, true},
		{"one has a new certificate", func() { must(newer.Issue(dirs[0])); must(0, older.Trust(files[0].CA, newer)) }, true},
		{"both have", func() { must(newer.Issue(dirs[1])); must(0, older.Trust(files[1].CA, newer)) }, true},
		{"the old authority is dropped", func() { must(0, newer.Trust(files[0].CA)); must(0, newer.Trust(files[1].CA)) }, true},
		{"one goes back to the old certificate", func() { must(older.Issue(dirs[1])); must(0, newer.Trust(files[1].CA)) }, false},
	} {
		step.do()
		later()
		if err := ask(); (err == nil) != step.ok {
			t.Errorf("%s: %v", step.what, err)
		}
	}
}
