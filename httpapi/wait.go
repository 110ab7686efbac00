package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/listen"
	"secretsync/reconcile"
)

const (
	defaultWait = 30 * time.Second
	maxWait     = 5 * time.Minute
)

// waitFor is what ?wait= and &timeout= ask for.
type waitFor struct {
	phase   reconcile.Phase // empty: nothing
	timeout time.Duration
}

func parseWait(query url.Values) (waitFor, error) {
	var w waitFor
	if query.Has("wait") {
		switch w.phase = reconcile.Phase(query.Get("wait")); w.phase {
		case reconcile.PhaseActive, reconcile.PhasePending, reconcile.PhaseDegraded, reconcile.PhaseFailed:
		default:
			return w, badRequest("wait", "must be one of Active, Pending, Degraded, Failed")
		}
	}
	var err error
	w.timeout, err = parseTimeout(query)
	return w, err
}

func parseTimeout(query url.Values) (time.Duration, error) {
	if !query.Has("timeout") {
		return defaultWait, nil
	}
	timeout, err := time.ParseDuration(query.Get("timeout"))
	if err != nil || timeout < 0 || timeout > maxWait {
		return 0, badRequest("timeout", fmt.Sprintf("must be a duration such as 30s, at most %s", maxWait))
	}
	return timeout, nil
}

// await returns the definition with its status as soon as that has the phase,
// and at the timeout, or when the server is told to end, as both stand then.
func (s *Server) await(x *exchange, want waitFor) (*gitstore.Entry, reconcile.Status, error) {
	name, err := x.definitionName()
	if err != nil {
		return nil, reconcile.Status{}, err
	}
	if _, err := x.snapshot(); err != nil {
		return nil, reconcile.Status{}, err
	}
	ctx, end, err := s.patience(x, want.timeout)
	if err != nil {
		return nil, reconcile.Status{}, err
	}
	defer end()
	e, status, err := s.cfg.Reconciler.Wait(ctx, x.tenant.Name, name, want.phase)
	if errors.Is(err, gitstore.ErrNotFound) {
		return nil, status, noSuch("secret", name.String(), x.tenant)
	}
	if err != nil {
		return nil, status, err
	}
	return e, status, x.stillAllowed()
}

// patience lets a request wait for so long, if not too many of the tenant do. The
// context ends then, and when the client goes or the server is told to end; end
// is called when nothing is waited for any more.
func (s *Server) patience(x *exchange, timeout time.Duration) (ctx context.Context, end func(), err error) {
	release, ok := s.shares.Of(x.tenant.Name).Waiter()
	if !ok {
		return nil, nil, tooMany(time.Second, "too many waiting requests of your tenant at once")
	}
	// What slow clients are allowed does not count while it is we who are slow.
	deadline := time.Now().Add(timeout + listen.WriteTimeout)
	connection := http.NewResponseController(x.ResponseWriter)
	// Not every connection has deadlines to set; without them there is none to hit.
	_ = connection.SetReadDeadline(deadline)
	_ = connection.SetWriteDeadline(deadline)

	ctx, cancel := context.WithTimeout(x.r.Context(), timeout)
	stop := context.AfterFunc(s.serving, cancel)
	return ctx, func() { stop(); cancel(); release() }, nil
}

// stillAllowed fails if the key was revoked while the request waited.
func (x *exchange) stillAllowed() error {
	_, _, err := x.s.keyFor(x.s.state.Load(), x.r, x.s.now())
	return err
}
