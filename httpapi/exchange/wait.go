package exchange

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"secretsync/httpapi/listen"
	"secretsync/httpapi/problem"
)

const (
	defaultWait = 30 * time.Second
	maxWait     = 5 * time.Minute
)

// ParseTimeout reads &timeout=, how long a request waits.
func ParseTimeout(query url.Values) (time.Duration, error) {
	if !query.Has("timeout") {
		return defaultWait, nil
	}
	timeout, err := time.ParseDuration(query.Get("timeout"))
	if err != nil || timeout < 0 || timeout > maxWait {
		return 0, problem.BadRequest("timeout", fmt.Sprintf("must be a duration such as 30s, at most %s", maxWait))
	}
	return timeout, nil
}

// Patience lets a request wait for so long, if not too many of the tenant do. The
// context ends then, and when the client goes or the server is told to end; end
// is called when nothing is waited for any more. Before it is told anything,
// [Exchange.StillAllowed] has to be asked.
func (x *Exchange) Patience(timeout time.Duration) (ctx context.Context, end func(), err error) {
	release, ok := x.desk.cfg.Shares.Of(x.Tenant.Name).Waiter()
	if !ok {
		return nil, nil, problem.TooMany(time.Second, "too many waiting requests of your tenant at once")
	}
	// What slow clients are allowed does not count while it is we who are slow.
	deadline := time.Now().Add(timeout + listen.WriteTimeout)
	connection := http.NewResponseController(x.ResponseWriter)
	// Not every connection has deadlines to set; without them there is none to hit.
	_ = connection.SetReadDeadline(deadline)
	_ = connection.SetWriteDeadline(deadline)

	ctx, cancel := context.WithTimeout(x.Request.Context(), timeout)
	stop := context.AfterFunc(x.desk.cfg.Serving, cancel)
	return ctx, func() { stop(); cancel(); release() }, nil
}

// StillAllowed fails if the key was revoked while the request waited.
func (x *Exchange) StillAllowed() error { return x.desk.cfg.Keys.Allowed(x.Request) }
