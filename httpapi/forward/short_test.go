package forward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/forward"
)

// ask makes a request, and returns its answer, read to its end.
func (w *world) ask(method, body string) (*http.Response, string) {
	w.Helper()
	response := must(w.front.Client().Do(must(http.NewRequest(method, w.front.URL+path, strings.NewReader(body)))))
	defer response.Body.Close()
	text := string(must(io.ReadAll(response.Body)))
	if err := <-w.front.results; err != nil {
		w.Errorf("%s: %v", method, err)
	}
	return response, text
}

func TestBodiesOfAllSizesPassBothWays(t *testing.T) {
	for _, older := range []bool{false, true} {
		w := newWorld(t, forward.Patience{})
		w.older = older
		w.held(func(rw http.ResponseWriter, r *http.Request) {
			body := must(io.ReadAll(r.Body))
			if int64(len(body)) != r.ContentLength {
				t.Errorf("%d bytes came for %d", len(body), r.ContentLength)
			}
			rw.Header().Set("X-Length", fmt.Sprint(len(body)))
			for len(body) > 0 { // in pieces of all sizes
				n := (len(body) + 1) / 2
				rw.Write(body[:n])
				body = body[n:]
			}
		})
		for _, size := range []int{0, 1, 100, 4 << 10, 32<<10 - 1, 32 << 10, 32<<10 + 1, 64 << 10, 300 << 10, 1 << 20} {
			body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			response, text := w.ask("POST", body)
			if text != body || response.Header.Get("X-Length") != fmt.Sprint(size) {
				t.Errorf("of %d bytes %d came back", size, len(text))
			}
		}
	}
}

func TestAnswersWithoutABody(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	w.held(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == "HEAD" {
			rw.Header().Set("Content-Length", "12345")
			io.WriteString(rw, "nobody reads it")
			return
		}
		rw.WriteHeader(http.StatusNoContent)
	})
	for range 2 {
		if r, text := w.ask("HEAD", ""); r.StatusCode != 200 || r.ContentLength != 12345 || text != "" {
			t.Errorf("HEAD: %d, %d bytes, %q", r.StatusCode, r.ContentLength, text)
		}
		if r, text := w.ask("DELETE", ""); r.StatusCode != 204 || text != "" {
			t.Errorf("204: %d %q", r.StatusCode, text)
		}
	}
}

// TestWhatIsFlushedComesAtOnce: the answer's end waits till its beginning was seen.
func TestWhatIsFlushedComesAtOnce(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	seen := make(chan bool)
	w.held(func(rw http.ResponseWriter, _ *http.Request) {
		io.WriteString(rw, "first")
		http.NewResponseController(rw).Flush()
		<-seen
		io.WriteString(rw, "final")
	})
	to, _ := w.front.place.Holder(gitstore.TenantName{})
	forwarder := must(forward.New(forward.Config{Holders: w.front.place, TLS: pairOf(w.files(), time.Now).Dial(), Patience: unhurried}))
	t.Cleanup(forwarder.Close)
	answer := &telling{ResponseRecorder: httptest.NewRecorder(), first: sync.OnceFunc(func() { close(seen) })}
	if err := forwarder.Forward(answer, httptest.NewRequest("GET", path, nil), forward.Call{To: to}); err != nil || answer.Body.String() != "firstfinal" {
		t.Errorf("%q %v", answer.Body, err)
	}
}

// telling tells of the first piece of an answer.
type telling struct {
	*httptest.ResponseRecorder
	first func()
}

func (r *telling) Write(b []byte) (int, error) {
	r.first()
	return r.ResponseRecorder.Write(b)
}

// going is a tenant that goes from one holder to another while a request is on its way.
type going struct {
	mu sync.Mutex
	to string
}

func (g *going) Holder(gitstore.TenantName) (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.to, false
}
func (g *going) Err() error { return nil }

// TestARequestToAReplicaThatJustEndedIsMadeAtTheNextHolder: it says that it takes no more,
// so that even a write can be sent again.
func TestARequestToAReplicaThatJustEndedIsMadeAtTheNextHolder(t *testing.T) {
	for name, next := range map[string]bool{"there is a next one": true, "there is none": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, forward.Patience{})
			var first, second atomic.Int64
			server := w.server(func(http.ResponseWriter, *http.Request) { first.Add(1) })
			ends := w.serve(server, must(net.Listen("tcp", "127.0.0.1:0")), w.files())
			holders := &going{to: ends}
			forwarder := must(forward.New(forward.Config{Holders: holders, TLS: pairOf(w.files(), time.Now).Dial(), Patience: unhurried}))
			t.Cleanup(forwarder.Close)
			send := func(method string) (status int, result error) {
				r := httptest.NewRequest(method, path, strings.NewReader("{}"))
				answer := httptest.NewRecorder()
				result = forwarder.Forward(answer, r, forward.Call{To: ends, Origin: forward.Origin{ID: "an-id"}})
				return answer.Code, result
			}
			if status, err := send("POST"); status != 200 || err != nil {
				t.Fatal(status, err)
			}
			if err := server.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if next {
				holders.to = w.holder(w.files(), func(http.ResponseWriter, *http.Request) { second.Add(1) })
			}
			_, err := send("POST")
			if got := second.Load(); next && (err != nil || got != 1) || !next && !errors.Is(err, forward.ErrUndone) {
				t.Errorf("%v; the next holder saw %d", err, got)
			}
			if n := first.Load(); n != 1 {
				t.Errorf("who ended saw %d; want 1", n)
			}
		})
	}
}

// TestAShutdownWaitsForWhatIsUnderWayAndForNothingElse.
func TestAShutdownWaitsForWhatIsUnderWayAndForNothingElse(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	begun, goOn := make(chan bool), make(chan bool)
	server := w.server(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			close(begun)
			<-goOn
		}
		io.WriteString(rw, "answered")
	})
	w.front.place.move(w.serve(server, must(net.Listen("tcp", "127.0.0.1:0")), w.files()))
	w.ask("GET", "") // leaves a connection that nobody uses
	answers := make(chan string)
	go func() {
		_, text := w.ask("POST", "")
		answers <- text
	}()
	<-begun
	w.ask("GET", "")
	ended := make(chan error)
	shutting := make(chan bool)
	server.RegisterOnShutdown(func() { close(shutting) })
	go func() { ended <- server.Shutdown(context.Background()) }()
	<-shutting
	select {
	case err := <-ended:
		t.Errorf("it ends in the middle of a request: %v", err)
	default:
	}
	close(goOn)
	if text := <-answers; text != "answered" {
		t.Errorf("%q", text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestAWriteGoesThroughAfterItsHolderWasRestarted: a connection that it closed meanwhile is
// found out before something is sent over it that can't be sent again.
func TestAWriteGoesThroughAfterItsHolderWasRestarted(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		w := newWorld(t, forward.Patience{})
		files := w.files()
		var seen atomic.Int64
		first := w.server(func(http.ResponseWriter, *http.Request) { seen.Add(1) })
		address := w.serve(first, must(net.Listen("tcp", "127.0.0.1:0")), files)
		w.front.place.move(address)
		w.ask(method, "")
		first.Close()
		w.serve(w.server(first.Handler.ServeHTTP), must(net.Listen("tcp", address)), files)
		if r, text := w.ask(method, ""); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", method, r.StatusCode, text)
		}
		if n := seen.Load(); n != 2 {
			t.Errorf("%s: 2 requests were seen %d times", method, n)
		}
	}
}

// TestAHolderThatIsGoneCostsNotEachRequestItsTime: nothing answers at its address.
func TestAHolderThatIsGoneCostsNotEachRequestItsTime(t *testing.T) {
	for _, at := range []string{path, path + "?wait=Active"} { // by package hop, and over HTTP/1.1
		t.Run(at, func(t *testing.T) {
			t.Parallel() // they wait
			w := newWorld(t, forward.Patience{})
			l := must(net.Listen("tcp", "127.0.0.1:0"))
			defer l.Close()
			dials := make(chan net.Conn, 100)
			go func() {
				for {
					c, err := l.Accept() // and then says nothing
					if err != nil {
						return
					}
					dials <- c
				}
			}()
			var clock atomic.Int64
			now := func() time.Time { return time.Unix(1e9, clock.Load()) }
			place := &place{to: l.Addr().String()}
			forwarder := must(forward.New(forward.Config{Holders: place, TLS: pairOf(w.files(), time.Now).Dial(), Patience: forward.Patience{Dial: 5 * time.Second}, Now: now}))
			t.Cleanup(forwarder.Close)
			send := func(to string) error {
				return forwarder.Forward(httptest.NewRecorder(), httptest.NewRequest("POST", at, nil), forward.Call{To: to, Origin: forward.Origin{ID: "an-id"}})
			}
			gone := func(when string) {
				t.Helper()
				if err := send(place.to); !errors.Is(err, forward.ErrUndone) || !strings.Contains(err.Error(), "deadline exceeded") {
					t.Errorf("%s: %v", when, err)
				}
			}
			gone("at first")
			(<-dials).Close()
			for range 50 {
				gone("just after that")
			}
			if n := len(dials); n != 0 {
				t.Errorf("just after it could not be reached it was dialed %d times", n)
			}
			// Another one is reached meanwhile.
			alive := w.holder(w.files(), func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "here") })
			if err := send(alive); err != nil {
				t.Error(err)
			}
			// A moment later one request tries, and the others do not wait for it.
			clock.Add(int64(time.Second))
			probe := make(chan error)
			go func() { probe <- send(place.to) }()
			probed := <-dials
			for range 50 {
				gone("while one tries")
			}
			if n := len(dials); n != 0 {
				t.Errorf("while one tries %d others do", n)
			}
			if err := <-probe; !errors.Is(err, forward.ErrUndone) {
				t.Error(err)
			}
			probed.Close()
			// It is back.
			address := l.Addr().String()
			l.Close()
			server := w.server(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "back") })
			w.serve(server, must(net.Listen("tcp", address)), w.files())
			clock.Add(int64(time.Second))
			for range 2 {
				if err := send(address); err != nil {
					t.Errorf("after it is back: %v", err)
				}
			}
		})
	}
}

func TestABodyShorterThanItsLengthItsLengthIsNotSent(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	w.held(func(http.ResponseWriter, *http.Request) { t.Error("it was seen") })
	to, _ := w.front.place.Holder(gitstore.TenantName{})
	forwarder := must(forward.New(forward.Config{Holders: w.front.place, TLS: pairOf(w.files(), time.Now).Dial(), Patience: unhurried}))
	t.Cleanup(forwarder.Close)
	r := httptest.NewRequest("POST", path, bytes.NewReader([]byte("short")))
	r.ContentLength = 10
	if err := forwarder.Forward(httptest.NewRecorder(), r, forward.Call{To: to}); !errors.Is(err, forward.ErrBody) {
		t.Error(err)
	}
}

// TestABodyIsNotReadBeyondItsLength: net/http closes it when the answer begins to come, and that
// may be before the connection to the holder was done with it.
func TestABodyIsNotReadBeyondItsLength(t *testing.T) {
	for _, size := range []int{100, 300 << 10} { // by package hop, and over HTTP/1.1
		w := newWorld(t, forward.Patience{})
		w.held(func(rw http.ResponseWriter, r *http.Request) { rw.Write(must(io.ReadAll(r.Body))) })
		to, _ := w.front.place.Holder(gitstore.TenantName{})
		forwarder := must(forward.New(forward.Config{Holders: w.front.place, TLS: pairOf(w.files(), time.Now).Dial(), Patience: unhurried}))
		t.Cleanup(forwarder.Close)
		closed := iotest.ErrReader(http.ErrBodyReadAfterClose)
		r := httptest.NewRequest("POST", path, io.MultiReader(strings.NewReader(strings.Repeat("x", size)), closed))
		r.ContentLength = int64(size)
		answer := httptest.NewRecorder()
		if err := forwarder.Forward(answer, r, forward.Call{To: to, Origin: forward.Origin{ID: "an-id"}}); err != nil || answer.Body.Len() != size {
			t.Errorf("of %d bytes %d came back: %v", size, answer.Body.Len(), err)
		}
	}
}

// TestNobodyWaitsForWhatAHolderDoesAfterItsAnswer: its handler returns only when the answer
// was read.
func TestNobodyWaitsForWhatAHolderDoesAfterItsAnswer(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	read := make(chan bool, 1)
	w.held(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", "8")
		if n, err := io.WriteString(rw, "far too long"); n != 0 || !errors.Is(err, http.ErrContentLength) {
			t.Errorf("more than its length: %d %v", n, err)
		}
		io.WriteString(rw, "answ")
		io.WriteString(rw, "ered")
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Error("the answer comes only when the handler returns")
		}
		if n, err := io.WriteString(rw, "more"); n != 0 || !errors.Is(err, http.ErrContentLength) {
			t.Errorf("after its end: %d %v", n, err)
		}
		if err := http.NewResponseController(rw).Flush(); err != nil {
			t.Error(err)
		}
	})
	for range 2 { // the second time over the same connection
		if r, text := w.ask("GET", ""); text != "answered" || r.ContentLength != 8 {
			t.Errorf("%q of %d bytes", text, r.ContentLength)
		}
		read <- true
	}
}
