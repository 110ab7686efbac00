package forward_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/httpapi/forward"
)

// A replica that was stopped answers nothing and closes nothing. When somebody else has its tenants
// what only reads, and hangs there, is answered by that one; a write is not made a second time.
func TestWhatHangsAtAHolderWhoLostTheTenant(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		begun  string // the answer, before the holder falls silent: how long it says that it is
		status int    // 0: the client's connection is cut
		again  int64
	}{
		"a read is answered by the next holder":            {method: "GET", status: http.StatusOK, again: 1},
		"a read without a body, too":                       {method: "HEAD", status: http.StatusOK, again: 1},
		"a write is not made again":                        {method: "POST", status: http.StatusServiceUnavailable},
		"nor is a read whose answer has begun to pass":     {method: "GET", begun: "100"},
		"nor is one that does not say how long it is":      {method: "GET", begun: "unknown"},
		"nor is a change that would be the same in effect": {method: "DELETE", status: http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, forward.Patience{Answer: time.Minute, Lost: 50 * time.Millisecond})
			var first, second atomic.Int64
			next := w.holder(w.files(), func(rw http.ResponseWriter, _ *http.Request) {
				second.Add(1)
				io.WriteString(rw, "from the next one")
			})
			w.held(func(rw http.ResponseWriter, r *http.Request) {
				first.Add(1)
				io.Copy(io.Discard, r.Body)
				if c.begun != "" {
					if c.begun != "unknown" {
						rw.Header().Set("Content-Length", c.begun)
					}
					io.WriteString(rw, "the beginning")
					http.NewResponseController(rw).Flush()
					<-w.front.passed // it has begun to pass before it is looked whether the tenant has moved
				}
				w.front.place.move(next)
				<-r.Context().Done()
			})
			status, text, err := w.do(c.method, path, "")
			result := <-w.front.results
			switch {
			case c.status == 0:
				if err == nil || !errors.Is(result, forward.ErrCutOff) {
					t.Errorf("%d %q %v, and it ends with %v; want it cut off", status, text, err, result)
				}
			case status != c.status || err != nil || (result == nil) != (c.status == http.StatusOK):
				t.Errorf("%d %q %v, and it ends with %v; want %d", status, text, err, result, c.status)
			case c.method == "GET" && text != "from the next one":
				t.Errorf("%q", text)
			}
			if f, s := first.Load(), second.Load(); f != 1 || s != c.again {
				t.Errorf("the first holder saw %d requests, the next one %d; want 1 and %d", f, s, c.again)
			}
		})
	}
}

// The same with one that does not even shake hands: its machine takes connections for it.
func TestWhatHangsAtAHandshakeOfAHolderWhoLostTheTenant(t *testing.T) {
	w := newWorld(t, forward.Patience{Dial: time.Minute, Answer: time.Minute, Lost: 50 * time.Millisecond})
	next := w.holder(w.files(), func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(rw, io.MultiReader(strings.NewReader("from the next one"), r.Body))
	})
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		w.front.place.move(next)
		io.Copy(io.Discard, c)
		c.Close()
	}()
	w.front.place.move(l.Addr().String())
	status, text, err := w.do("GET", path, "")
	if result := <-w.front.results; status != http.StatusOK || text != "from the next one" || err != nil || result != nil {
		t.Errorf("%d %q %v, and it ends with %v", status, text, err, result)
	}
}
