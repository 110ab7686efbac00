package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/listen"
)

// startRetry is the pause between attempts to begin.
const startRetry = time.Second

// await makes attempts at what the server can't begin without, until one succeeds or
// fails for good. While it waits, probes are told so: the process lives, and is not ready.
func (p *Program) await(ctx context.Context, cfg *config.Config, attempt func(context.Context) error) error {
	err := attempt(ctx)
	if !errors.Is(err, gitstore.ErrUnavailable) {
		return err
	}
	w, failed := newWaiting(cfg)
	if failed != nil {
		return failed
	}
	why := reason(err)
	w.why.Store(&why)
	w.server = listen.NewServer(w, p.log)
	ended := make(chan error, 1)
	go func() { ended <- w.serve(cfg) }()
	tick := time.NewTicker(startRetry)
	defer tick.Stop()
	told := ""
	for errors.Is(err, gitstore.ErrUnavailable) {
		why := reason(err)
		w.why.Store(&why)
		if why != told {
			told = why
			p.log.Warn("the server can't begin yet, and tries again every second", "cause", why, "detail", err)
		}
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case failed := <-ended:
			return failed
		case <-tick.C:
			err = attempt(ctx)
		}
	}
	if err == nil {
		p.log.Info("what was in the way of the start is over")
	}
	// So that the address is free; the listener too, if it is not served yet.
	closed := w.server.Close()
	_ = w.listener.Close()
	if failed := <-ended; !errors.Is(failed, http.ErrServerClosed) {
		closed = errors.Join(closed, failed)
	}
	return errors.Join(err, closed)
}

// waiting answers in place of a server that has not begun, where its probes are.
type waiting struct {
	listener net.Listener
	server   *http.Server
	secured  bool
	why      atomic.Pointer[string]
}

func newWaiting(cfg *config.Config) (*waiting, error) {
	l, err := net.Listen("tcp", cmp.Or(cfg.MetricsListen, cfg.Listen))
	return &waiting{listener: l, secured: cfg.MetricsListen == "" && cfg.TLSCert != ""}, err
}

func (w *waiting) serve(cfg *config.Config) error {
	if w.secured {
		return w.server.ServeTLS(w.listener, cfg.TLSCert, cfg.TLSKey)
	}
	return w.server.Serve(w.listener)
}

func (w *waiting) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	if r.URL.Path == "/healthz" {
		_, _ = rw.Write([]byte(`{"status":"ok"}` + "\n"))
		return
	}
	rw.Header().Set("Retry-After", "1")
	rw.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(rw).Encode(map[string]string{"error": "the server can't begin yet: " + *w.why.Load() + "; it tries again by itself"})
}

// reason is the cause in words without addresses.
func reason(err error) string {
	if told, ok := errors.AsType[*apikey.UnavailableError](err); ok {
		return told.Why
	}
	return "something that it needs can't be had"
}
