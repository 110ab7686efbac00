package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"secretsync/gitstore"
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
	w := waitFor{timeout: defaultWait}
	if query.Has("wait") {
		switch w.phase = reconcile.Phase(query.Get("wait")); w.phase {
		case reconcile.PhaseActive, reconcile.PhasePending, reconcile.PhaseDegraded, reconcile.PhaseFailed:
		default:
			return w, badRequest("wait", "must be one of Active, Pending, Degraded, Failed")
		}
	}
	if query.Has("timeout") {
		timeout, err := time.ParseDuration(query.Get("timeout"))
		if err != nil || timeout < 0 || timeout > maxWait {
			return w, badRequest("timeout", fmt.Sprintf("must be a duration such as 30s, at most %s", maxWait))
		}
		w.timeout = timeout
	}
	return w, nil
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
	release, err := s.shareOf(x.tenant.Name).takeWaiter()
	if err != nil {
		return nil, reconcile.Status{}, err
	}
	defer release()
	// What slow clients are allowed does not count while it is we who are slow.
	deadline := time.Now().Add(want.timeout + writeTimeout)
	connection := http.NewResponseController(x.ResponseWriter)
	// Not every connection has deadlines to set; without them there is none to hit.
	_ = connection.SetReadDeadline(deadline)
	_ = connection.SetWriteDeadline(deadline)

	ctx, cancel := context.WithTimeout(x.r.Context(), want.timeout)
	defer cancel()
	defer context.AfterFunc(s.serving, cancel)()
	e, status, err := s.cfg.Reconciler.Wait(ctx, x.tenant.Name, name, want.phase)
	if errors.Is(err, gitstore.ErrNotFound) {
		return nil, status, noSuch("secret", name.String(), x.tenant)
	}
	if err != nil {
		return nil, status, err
	}
	// The key may have been revoked meanwhile.
	_, _, err = s.keyFor(s.state.Load(), x.r.Header["Authorization"], s.now())
	return e, status, err
}
