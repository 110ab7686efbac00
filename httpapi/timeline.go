package httpapi

import (
	"context"
	"net/http"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/render"
	"secretsync/httpapi/timeline"
)

// getTimeline tells how a definition stood since the server began.
func (s *Server) getTimeline(x *exchange) (*answer, error) {
	e, err := x.entry()
	if err != nil {
		return nil, err
	}
	body := []byte(`{"items":[`)
	for i, m := range s.timeline.Of(x.tenant.Name, e, s.cfg.Reconciler) {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendMoment(body, &m)
	}
	return &answer{status: http.StatusOK, body: append(body, "]}\n"...)}, nil
}

func appendMoment(b []byte, m *timeline.Moment) []byte {
	b = render.Time(append(b, `{"time":`...), m.At)
	b = render.String(append(b, `,"phase":`...), string(m.Phase))
	b = appendBool(append(b, `,"ready":`...), m.Ready)
	b = render.String(append(b, `,"reason":`...), string(m.Reason))
	b = render.String(append(b, `,"message":`...), m.Message)
	return append(b, '}')
}

// lookEvery is how often it is looked how definitions stand. What lasts less may be
// missing in the timeline.
const lookEvery = time.Second

// keepTimeline looks till ctx ends.
func (s *Server) keepTimeline(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			st := s.state.Load()
			names := make([]gitstore.TenantName, 0, len(st.tenants))
			for _, t := range st.tenants {
				names = append(names, t.Name)
				if snapshot := t.Repository.Snapshot(); snapshot.Read() {
					s.timeline.Look(t.Name, snapshot, s.cfg.Reconciler, time.Now)
				}
			}
			s.timeline.Keep(names)
		}
	}
}
