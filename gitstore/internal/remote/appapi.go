package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// AskAPI asks the API of the app with connections of its own. It takes no slot:
// the exchange that needs the answer holds one.
func (c *httpCarrier) AskAPI(ctx context.Context, req *http.Request, use func(body io.Reader) error) error {
	api := c.remote.endpoint.app
	h := c.remote.hosts.host(api.Host)
	if left := h.paused(); left > 0 {
		return &Error{Kind: Throttled, Remote: c.remote.String(), Cause: "the API of the GitHub App wants to be left alone", After: left}
	}
	t, err := c.connections(&c.api, api.Host)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", userAgent)
	client := http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return c.remote.apiError(err)
	}
	if res.StatusCode/100 != 2 {
		err := c.refusal(h, res)
		if e, ok := errors.AsType[*Error](err); ok {
			e.Cause = "no token for the GitHub App: " + e.Cause
			if e.Kind == NotFound { // it is the installation that isn't there
				e.Kind, e.Cause = Denied, "no token for the GitHub App: there is no such installation of it (status 404); look at appID and installationID"
			}
		}
		return err
	}
	defer res.Body.Close()
	return use(io.LimitReader(res.Body, 1<<20))
}

func (r *Remote) apiError(err error) *Error {
	e := r.fail(nil, err)
	e.Cause = "no token for the GitHub App: " + e.Cause
	return e
}
