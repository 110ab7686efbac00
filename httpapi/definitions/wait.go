package definitions

import (
	"errors"
	"net/url"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/problem"
	"secretsync/reconcile/status"
)

// waitFor is what ?wait= and &timeout= ask for.
type waitFor struct {
	phase   status.Phase // empty: nothing
	timeout time.Duration
}

func parseWait(query url.Values) (waitFor, error) {
	var w waitFor
	if query.Has("wait") {
		switch w.phase = status.Phase(query.Get("wait")); w.phase {
		case status.Active, status.Pending, status.Degraded, status.Failed:
		default:
			return w, problem.BadRequest("wait", "must be one of Active, Pending, Degraded, Failed")
		}
	}
	var err error
	w.timeout, err = exchange.ParseTimeout(query)
	return w, err
}

// await returns the definition with its status as soon as that has the phase,
// and at the timeout, or when the server is told to end, as both stand then.
func (d *Definitions) await(x *exchange.Exchange, want waitFor) (*catalog.Entry, status.Status, error) {
	name, err := x.DefinitionName()
	if err != nil {
		return nil, status.Status{}, err
	}
	if _, err := x.Snapshot(); err != nil {
		return nil, status.Status{}, err
	}
	ctx, end, err := x.Patience(want.timeout)
	if err != nil {
		return nil, status.Status{}, err
	}
	defer end()
	e, status, err := d.Reconciler.Wait(ctx, x.Tenant.Name, name, want.phase)
	if errors.Is(err, gitstore.ErrNotFound) {
		return nil, status, x.NoSuch("secret", name.String())
	}
	if err != nil {
		return nil, status, err
	}
	return e, status, x.StillAllowed()
}
