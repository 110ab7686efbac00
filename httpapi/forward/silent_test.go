package forward_test

import (
	"cmp"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
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
		at     string // empty: path
		older  bool   // they know HTTP/1.1 alone
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
		"a read is, also among older replicas":             {method: "GET", older: true, status: http.StatusOK, again: 1},
		"a write is not, among older replicas either":      {method: "POST", older: true, status: http.StatusServiceUnavailable},
		"what is waited for is":                            {method: "GET", at: path + "?wait=Active", status: http.StatusOK, again: 1},
		"a write that is waited for is not":                {method: "POST", at: path + "?wait=Active", status: http.StatusServiceUnavailable},
		"nor is what is waited for once it has begun":      {method: "GET", at: path + "?wait=Active", begun: "unknown"},
		"a stream of events that has not begun is":         {method: "GET", at: "/console/live", status: http.StatusOK, again: 1},
		"one that has is not":                              {method: "GET", at: "/console/live", begun: "unknown"},
		"Git's question for references is":                 {method: "GET", at: "/git/acme.git/info/refs", status: http.StatusOK, again: 1},
		"a fetch is not, as its body is not kept":          {method: "POST", at: "/git/acme.git/git-upload-pack", status: http.StatusServiceUnavailable},
		"nor is a push":                                    {method: "POST", at: "/git/acme.git/git-receive-pack", status: http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, forward.Patience{Answer: time.Minute, Lost: 50 * time.Millisecond})
			w.older = c.older
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
			status, text, err := w.do(c.method, cmp.Or(c.at, path), "")
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

// When this replica has them, it is told that it may answer itself, if that is so.
func TestWhatHangsAtAHolderWhoLostTheTenantToTheOneThatIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		method, body string
		shakesHands  bool
		want         error
		at           string // empty: path
	}{
		"a read may be answered here":                        {"GET", "", true, forward.ErrHere, ""},
		"a read with a body, which is still there":           {"GET", "body", true, forward.ErrHere, ""},
		"a write may not: it may have been done":             {"POST", "body", true, forward.ErrUnclear, ""},
		"nor may a change that would be the same in effect":  {"DELETE", "", true, forward.ErrUnclear, ""},
		"a write that was never sent may, its body is there": {"POST", "body", false, forward.ErrHere, ""},
		"what is waited for may be":                          {"GET", "", true, forward.ErrHere, path + "?wait=Active"},
		"events may be":                                      {"GET", "", false, forward.ErrHere, "/console/live"},
		"a push may not: its body is gone":                   {"POST", "body", false, forward.ErrUndone, "/git/acme.git/git-receive-pack"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, forward.Patience{Answer: time.Minute, Lost: 50 * time.Millisecond})
			if c.shakesHands {
				w.held(func(_ http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					w.front.place.take()
					<-r.Context().Done()
				})
			} else {
				w.front.place.move(silent(t, w.front.place.take))
			}
			status, text, err := w.do(c.method, cmp.Or(c.at, path), c.body)
			if result := <-w.front.results; status != http.StatusServiceUnavailable || err != nil || !errors.Is(result, c.want) {
				t.Errorf("%d %q %v, and it ends with %v; want %v", status, text, err, result, c.want)
			}
			if _, left, _ := strings.Cut(strings.TrimSpace(text), "\n"); errors.Is(c.want, forward.ErrHere) && left != c.body {
				t.Errorf("of the body %q is left", left)
			}
			if n := w.front.counted("here"); (n == 1) != errors.Is(c.want, forward.ErrHere) {
				t.Errorf("%v such requests are counted", n)
			}
		})
	}
}

// silent is the address of a machine that takes a connection, and says nothing; then is called when it has.
func silent(t *testing.T, then func()) string {
	l, ended := must(net.Listen("tcp", "127.0.0.1:0")), make(chan struct{})
	t.Cleanup(func() { l.Close(); close(ended) })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		then()
		<-ended // one that nobody waits for any more is dialed on
		c.Close()
	}()
	return l.Addr().String()
}

// One that was stopped does not even shake hands: its machine takes connections for it.
func TestWhatHangsAtAHandshakeOfAHolderWhoLostTheTenant(t *testing.T) {
	for _, c := range [][2]string{{"GET", path}, {"POST", path}, {"GET", path + "?wait=Active"}, {"GET", "/console/live"}, {"POST", path + "?wait=Active"}} {
		t.Run(c[0]+" "+c[1], func(t *testing.T) {
			w := newWorld(t, forward.Patience{Dial: time.Minute, Answer: time.Minute, Lost: 50 * time.Millisecond})
			next := w.holder(w.files(), func(rw http.ResponseWriter, r *http.Request) {
				io.Copy(rw, io.MultiReader(strings.NewReader("from the next one"), r.Body))
			})
			w.front.place.move(silent(t, func() { w.front.place.move(next) }))
			status, text, err := w.do(c[0], c[1], "")
			if result := <-w.front.results; status != http.StatusOK || text != "from the next one" || err != nil || result != nil {
				t.Errorf("%d %q %v, and it ends with %v", status, text, err, result)
			}
		})
	}
}

// What was waited for at the first holder is waited for no longer than the client asked for.
func TestTheNextHolderIsWaitedForAsLongAsIsLeft(t *testing.T) {
	w := newWorld(t, forward.Patience{Answer: time.Minute, Lost: 50 * time.Millisecond})
	next := w.holder(w.files(), func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, r.URL.RawQuery) })
	w.held(func(_ http.ResponseWriter, r *http.Request) {
		w.front.place.move(next)
		<-r.Context().Done()
	})
	status, text, err := w.do("GET", path+"?wait=Active&timeout=2m", "")
	asked := must(url.ParseQuery(text))
	rest, wrong := time.ParseDuration(asked.Get("timeout"))
	if result := <-w.front.results; status != http.StatusOK || err != nil || result != nil || asked.Get("wait") != "Active" || wrong != nil || rest <= 0 || rest >= 2*time.Minute {
		t.Errorf("%d %q %v, and it ends with %v", status, text, err, result)
	}
}
