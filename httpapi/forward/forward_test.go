package forward_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/forward/forwardtest"
	"secretsync/httpapi/listen"
)

func TestARequestAndItsAnswerPassAsTheyAre(t *testing.T) {
	for _, older := range []bool{false, true} {
		t.Run(fmt.Sprintf("to an older replica: %v", older), func(t *testing.T) { passAsTheyAre(t, older) })
	}
}

func passAsTheyAre(t *testing.T, older bool) {
	w := newWorld(t, forward.Patience{})
	w.older = older
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
	if result := <-w.front.results; result != nil {
		t.Errorf("it ends with %v", result)
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
		"nobody listens there": {func(w *world, _ func()) { w.front.place.move(nowhere) }, true, "connection refused", "undone"},
		"what listens there never shakes hands": {func(w *world, _ func()) {
			l := must(net.Listen("tcp", "127.0.0.1:0"))
			w.Cleanup(func() { l.Close() })
			w.front.place.move(l.Addr().String())
		}, true, "deadline exceeded", "undone"},
		"its certificate is another authority's": {func(w *world, saw func()) {
			files := must(stranger.Issue(w.TempDir()))
			must(0, w.authority.Trust(files.CA)) // it would take ours
			w.front.place.move(w.holder(files, func(http.ResponseWriter, *http.Request) { saw() }))
		}, true, "unknown authority", "undone"},
		"its certificate is good for a client only": {func(w *world, saw func()) {
			files := must(w.authority.IssueFor(w.TempDir(), x509.ExtKeyUsageClientAuth))
			w.front.place.move(w.holder(files, func(http.ResponseWriter, *http.Request) { saw() }))
		}, true, "incompatible key usage", "undone"},
		"it takes ours for another authority's": {func(w *world, saw func()) {
			files := must(w.authority.Issue(w.TempDir()))
			must(0, stranger.Trust(files.CA))
			w.front.place.move(w.holder(files, func(http.ResponseWriter, *http.Request) { saw() }))
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
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "GET from an older replica", "POST to an older replica"} {
			t.Run(name+", "+method, func(t *testing.T) {
				// Short is only what the story waits for: a busy machine may be slow at the rest.
				patience := forward.Patience{Dial: time.Minute, Answer: time.Minute, Lost: 50 * time.Millisecond}
				switch c.says {
				case "deadline exceeded":
					patience.Dial = 300 * time.Millisecond
				case "silent for too long":
					t.Parallel()                      // they wait
					patience.Answer = 8 * time.Second // of which the connection takes a part, and must not take all
				}
				w := newWorld(t, patience)
				method, _, w.older = strings.Cut(method, " ")
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
	holders := &moving{first: nowhere, then: alive}
	forwarder := must(forward.New(forward.Config{Holders: holders, TLS: pairOf(w.files(), time.Now).Dial(), Patience: unhurried}))
	t.Cleanup(forwarder.Close)
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := forwarder.Forward(rw, r, forward.Call{To: nowhere, Origin: forward.Origin{ID: "an-id"}}); err != nil {
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
