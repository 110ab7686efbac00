package remote_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/remote"
)

// step is one request of the protocol.
type step string

const (
	hearFetch step = "GET upload-pack"
	listRefs  step = "POST ls-refs"
	fetchPack step = "POST fetch"
	hearPush  step = "GET receive-pack"
	pushPack  step = "POST receive-pack"
)

func stepOf(r *http.Request) step {
	service := r.URL.Query().Get("service")
	switch {
	case service == "git-upload-pack":
		return hearFetch
	case service == "git-receive-pack":
		return hearPush
	case strings.HasSuffix(r.URL.Path, "git-receive-pack"):
		return pushPack
	}
	// The command stands in the first lines; the body is small.
	body := new(strings.Builder)
	if r.Body != nil {
		buf := make([]byte, 64<<10)
		n, _ := r.Body.Read(buf)
		body.Write(buf[:n])
		r.Body = readCloser{strings.NewReader(body.String())}
	}
	if strings.Contains(body.String(), "command=ls-refs") {
		return listRefs
	}
	return fetchPack
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// fault is what happens in place of an answer.
type fault func(w http.ResponseWriter, r *http.Request, real http.Handler)

func status(code int, headers ...string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
	}
}

func dropBefore(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

func dropAfter(_ http.ResponseWriter, r *http.Request, real http.Handler) {
	real.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// dropDuring sends some of the answer.
func dropDuring(w http.ResponseWriter, r *http.Request, real http.Handler) {
	sendPart(w, r, real)
	panic(http.ErrAbortHandler)
}

// truncated sends some of the answer as if it were all.
func truncated(w http.ResponseWriter, r *http.Request, real http.Handler) { sendPart(w, r, real) }

func sendPart(w http.ResponseWriter, r *http.Request, real http.Handler) {
	answer := httptest.NewRecorder()
	real.ServeHTTP(answer, r)
	w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
	w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
	w.(http.Flusher).Flush()
}

// faulty stands before a server and does harm at one step.
type faulty struct {
	real http.Handler

	mu sync.Mutex
	at step
	do fault
}

func (f *faulty) set(at step, do fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.do = at, do
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := stepOf(r)
	f.mu.Lock()
	do := f.do
	if f.at != at {
		do = nil
	}
	f.mu.Unlock()
	if do != nil {
		do(w, r, f.real)
		return
	}
	f.real.ServeHTTP(w, r)
}

func TestFaultsAtEachStep(t *testing.T) {
	faults := map[string]struct {
		do   fault
		kind remote.Kind
		push remote.Kind // where the request was a push
	}{
		"dropped before":   {dropBefore, remote.Unavailable, remote.Unknown},
		"dropped during":   {dropDuring, remote.Unavailable, remote.Unknown},
		"dropped after":    {dropAfter, remote.Unavailable, remote.Unknown},
		"truncated":        {truncated, remote.Unavailable, remote.Unknown},
		"401":              {status(401, "WWW-Authenticate", "Basic"), remote.Denied, remote.Denied},
		"403":              {status(403), remote.Denied, remote.Denied},
		"404":              {status(404), remote.NotFound, remote.NotFound},
		"413":              {status(413), remote.TooLarge, remote.TooLarge},
		"429":              {status(429), remote.Throttled, remote.Throttled},
		"500":              {status(500), remote.Unavailable, remote.Unknown},
		"503":              {status(503), remote.Unavailable, remote.Unknown},
		"moved elsewhere":  {status(301, "Location", "https://elsewhere.example/x.git?token=s3cret"), remote.Unavailable, remote.Unavailable},
		"a page":           {status(200, "Content-Type", "text/html"), remote.Unavailable, remote.Unknown},
		"an empty answer":  {status(200, "Content-Type", "application/x-git-upload-pack-result"), remote.Unavailable, remote.Unknown},
		"403, rate limits": {status(403, "X-RateLimit-Remaining", "0"), remote.Throttled, remote.Throttled},
	}
	for name, f := range faults {
		for _, at := range []step{hearFetch, listRefs, fetchPack, hearPush, pushPack} {
			t.Run(name+" at "+string(at), func(t *testing.T) {
				t.Parallel()
				testFault(t, at, f.do, f.kind, f.push)
			})
		}
	}
}

func testFault(t *testing.T, at step, do fault, kind, ofPush remote.Kind) {
	s := newServer(t)
	s.commit("main", "a", "1")
	front := &faulty{real: s.handler()}
	settings := remote.Settings{URL: listen(t, front).URL + "/acme.git", Timeout: time.Minute}
	c := newClone(t)
	next := c.commit("main", "b", "2")
	pack := c.pack(next, object.Hash{})
	deed := func(r *remote.Remote) error {
		refs, err := r.Refs(t.Context(), "refs/heads/")
		if err != nil {
			return err
		}
		w := remote.Wanted{Wants: []object.Hash{refs.Hashes["refs/heads/main"]}, MaxBytes: 1 << 20}
		if err := r.Fetch(t.Context(), w, discard); err != nil {
			return err
		}
		session, err := r.OpenPush(t.Context())
		if err != nil {
			return err
		}
		defer session.Close()
		u := remote.Update{Ref: "refs/heads/new", Old: session.Refs.Hashes["refs/heads/new"], New: next}
		if u.Old == u.New {
			return nil
		}
		return session.Push(t.Context(), []remote.Update{u}, pack)
	}
	front.set(at, do)
	err := deed(open(t, settings))
	want := kind
	if at == pushPack {
		want = ofPush
	}
	if !errors.Is(err, want) {
		t.Fatalf("got kind %q: %v", remote.KindOf(err), err)
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error tells a URL that may be signed: %v", err)
	}
	front.set("", nil)
	if err := deed(open(t, settings)); err != nil { // with hosts of its own, which know of no pause
		t.Errorf("once it was over: %v", err)
	}
	if got := s.head("new"); got != next {
		t.Errorf("the remote is at %s", got)
	}
}

// discard reads a pack to its end.
func discard(pack io.Reader) error {
	_, err := io.Copy(io.Discard, pack)
	return err
}
