package definitions

import (
	"net/http"

	"secretsync/httpapi/exchange"
	"secretsync/httpapi/render"
	"secretsync/httpapi/timeline"
)

// Timeline tells how a definition stood since the server began.
func (d *Definitions) Timeline(x *exchange.Exchange) (*exchange.Answer, error) {
	e, err := x.Entry()
	if err != nil {
		return nil, err
	}
	body := []byte(`{"items":[`)
	for i, m := range d.Moments.Of(x.Tenant.Name, e, d.Reconciler) {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendMoment(body, &m)
	}
	return &exchange.Answer{Status: http.StatusOK, Body: append(body, "]}\n"...)}, nil
}

func appendMoment(b []byte, m *timeline.Moment) []byte {
	b = render.Time(append(b, `{"time":`...), m.At)
	b = render.String(append(b, `,"phase":`...), string(m.Phase))
	b = render.Bool(append(b, `,"ready":`...), m.Ready)
	b = render.String(append(b, `,"reason":`...), string(m.Reason))
	b = render.String(append(b, `,"message":`...), m.Message)
	return append(b, '}')
}
