package forward_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"secretsync/httpapi/forward"
)

// sending returns what sends a request to an address by a forwarder of its own.
func (w *world) sending(at string, patience forward.Patience) func(to string) error {
	w.Helper()
	stopped := time.Now() // who rests is not tried again
	forwarder := must(forward.New(forward.Config{
		Holders: &place{}, TLS: pairOf(w.files(), time.Now).Dial(), Patience: patience, Now: func() time.Time { return stopped },
	}))
	w.Cleanup(forwarder.Close)
	return func(to string) error {
		return forwarder.Forward(httptest.NewRecorder(), httptest.NewRequest("POST", at, nil), forward.Call{To: to, Origin: forward.Origin{ID: "an-id"}})
	}
}

// TestOneRequestAloneWaitsForAHolderThatJustWent: nothing answers at its address, and nobody knows it yet.
func TestOneRequestAloneWaitsForAHolderThatJustWent(t *testing.T) {
	for _, at := range []string{path, path + "?wait=Active"} { // by package hop, and over HTTP/1.1
		t.Run(at, func(t *testing.T) {
			t.Parallel() // they wait
			w := newWorld(t, forward.Patience{})
			l := must(net.Listen("tcp", "127.0.0.1:0")) // connections are made by the kernel, and nobody shakes hands
			defer l.Close()
			send := w.sending(at, forward.Patience{Dial: 6 * time.Second})
			const requests = 50
			ends := make(chan error)
			for range requests {
				go func() { ends <- send(l.Addr().String()) }()
			}
			waited := 0
			for range requests {
				err := <-ends
				if !errors.Is(err, forward.ErrUndone) {
					t.Error(err)
				}
				// Who comes late, on a busy machine, is told what the one that waited was told.
				if !strings.Contains(err.Error(), "as was seen a moment ago: ") {
					waited++
					if !strings.Contains(err.Error(), "deadline exceeded") {
						t.Error(err)
					}
				}
			}
			if waited != 1 {
				t.Errorf("%d of %d requests waited to the end", waited, requests)
			}
		})
	}
}

// TestAHolderThatIsSlowIsAskedByAllOnceItAnswers: the one that waited is answered, and who comes then.
func TestAHolderThatIsSlowIsAskedByAllOnceItAnswers(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	send := w.sending(path, forward.Patience{Dial: 12 * time.Second})
	ends := make(chan error)
	for range 2 {
		go func() { ends <- send(l.Addr().String()) }()
	}
	if err := <-ends; err == nil || !strings.Contains(err.Error(), "it has not answered another request") {
		t.Errorf("who came second: %v", err)
	}
	w.serve(w.server(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "here") }), l, w.files())
	if err := <-ends; err != nil {
		t.Errorf("the one that waited: %v", err)
	}
	for range 3 {
		if err := send(l.Addr().String()); err != nil {
			t.Errorf("who comes then: %v", err)
		}
	}
}
