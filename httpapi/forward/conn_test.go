package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"secretsync/gitstore"
)

// shut is a connection whose other end has refused our certificate and closed it. What it said
// lies there to be read; but net/http's own reader does not get to it in time.
type shut struct {
	net.Conn
	closed chan struct{}
	close  func()
}

func newShut() *shut {
	s := &shut{closed: make(chan struct{})}
	s.close = sync.OnceFunc(func() { close(s.closed) })
	return s
}

func (*shut) Write([]byte) (int, error) { return 0, &net.OpError{Op: "write", Err: syscall.EPIPE} }

func (s *shut) Read(b []byte) (int, error) {
	if len(b) == 1 { // it is hearOut's
		return 0, &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}
	}
	<-s.closed
	return 0, net.ErrClosed
}

func (s *shut) Close() error {
	s.close()
	return nil
}

func (*shut) SetReadDeadline(time.Time) error { return nil }

type nowhere struct{}

func (nowhere) Holder(gitstore.TenantName) (string, bool) { return "", false }
func (nowhere) Err() error                                { return nil }

// Who is not let in learns it only after he took the connection for made, and it may be that by
// then nothing can be written to it.
func TestWhoIsNotLetInLearnsItAlsoWhereAWriteFailsFirst(t *testing.T) {
	f := &Forwarder{Holders: nowhere{}, patience: Patience{}.withDefaults()}
	f.transport = &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		return &conn{Conn: newShut(), hasty: true}, nil
	}}
	r, err := http.NewRequest("POST", "https://holder/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	trip := newLongTrip(f, &Call{To: "holder"}, r, ordinary)
	defer trip.end()
	answer, err := trip.RoundTrip(r)
	if answer != nil {
		_, _ = io.Copy(io.Discard, answer.Body)
	}
	if !errors.Is(err, ErrUndone) || !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("it ends with %v", err)
	}
}
