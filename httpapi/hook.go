package httpapi

import (
	"errors"
	"net/http"

	"secretsync/gitstore/forge"
	"secretsync/httpapi/hooks"
)

// What forges send, see package hooks: without a key, since a forge has none. Its
// signature is checked in place of one.
const hooksPath = "/hooks/git/"

var hookRoutes = []route{
	{http.MethodPost, hooksPath + ":tenant", "", (*Server).receiveHook},
}

// errHook is said where there is no such hook as well, so that nobody learns which
// tenants there are.
var errHook = &problem{status: http.StatusForbidden, sentence: "there is no such hook, or the delivery is not signed with its secret: compare the secret in the forge with the file that the configuration names"}

func (s *Server) receiveHook(x *exchange) (*answer, error) {
	var hook *hooks.Hook
	if t := x.state.tenants[x.params.ByName("tenant")]; t != nil {
		hook = t.Hook
	}
	event, err := hook.Receive(x.r, x.began)
	tooMuch, limited := errors.AsType[*hooks.TooMany](err)
	switch {
	case err == nil:
		x.event = event
		s.metrics.deliveries.WithLabelValues(string(event)).Inc()
		return &answer{status: http.StatusAccepted, body: []byte("{}\n")}, nil
	case limited:
		s.metrics.deliveries.WithLabelValues("limited").Inc()
		return nil, x.limited(tooMuch.Wait, tooMuch.Error())
	}
	s.metrics.deliveries.WithLabelValues("refused").Inc()
	if !errors.Is(err, forge.ErrNotGenuine) {
		return nil, errBody
	}
	refused := *errHook
	if errors.Is(err, hooks.ErrUnreadable) {
		refused.cause = err
	}
	return nil, &refused
}
