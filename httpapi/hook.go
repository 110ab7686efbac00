package httpapi

import (
	"errors"
	"net/http"

	"secretsync/httpapi/audit"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/problem"

	"secretsync/gitstore/forge"
	"secretsync/httpapi/hooks"
)

// What forges send, see package hooks: without a key, since a forge has none. Its
// signature is checked in place of one.
const hooksPath = "/hooks/git/"

// errHook is said where there is no such hook as well, so that nobody learns which
// tenants there are.
var errHook = &problem.Problem{Status: http.StatusForbidden, Denied: audit.NotGenuine, Sentence: "there is no such hook, or the delivery is not signed with its secret: compare the secret in the forge with the file that the configuration names"}

func (s *Server) receiveHook(x *exchange.Exchange) (*exchange.Answer, error) {
	var hook *hooks.Hook
	if t := s.state.Load().tenants[x.Params.ByName("tenant")]; t != nil {
		hook = t.Hook
	}
	event, err := hook.Receive(x.Request, x.Began)
	tooMuch, limited := errors.AsType[*hooks.TooMany](err)
	switch {
	case err == nil:
		x.Event = event
		s.metrics.deliveries.WithLabelValues(string(event)).Inc()
		return &exchange.Answer{Status: http.StatusAccepted, Body: []byte("{}\n")}, nil
	case limited:
		s.metrics.deliveries.WithLabelValues("limited").Inc()
		return nil, s.limited(tooMuch.Wait, tooMuch.Error())
	}
	s.metrics.deliveries.WithLabelValues(deliveryRefused).Inc()
	if !errors.Is(err, forge.ErrNotGenuine) {
		return nil, problem.ErrBody
	}
	refused := *errHook
	if errors.Is(err, hooks.ErrUnreadable) {
		refused.Cause = err
	}
	return nil, &refused
}
