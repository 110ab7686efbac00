package httpapi

import (
	"errors"
	"net/http"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/header"
	"secretsync/httpapi/render"
	"secretsync/reconcile/live"
)

// getCommit says whether a commit of the followed branch is live; with ?wait=Live
// as soon as it is, or at the timeout as it stands then.
func (s *Server) getCommit(x *exchange) (*answer, error) {
	query, err := x.query()
	if err != nil {
		return nil, err
	}
	if query.Has("wait") && query.Get("wait") != "Live" {
		return nil, badRequest("wait", "must be Live")
	}
	timeout, err := parseTimeout(query)
	if err != nil {
		return nil, err
	}
	if _, err := x.snapshot(); err != nil {
		return nil, err
	}
	watch := &live.Watch{Tenant: x.tenant.Name, Repository: x.tenant.Repository, Source: s.cfg.Reconciler, SHA: x.params.ByName("sha")}
	var verdict live.Verdict
	if query.Has("wait") {
		verdict, err = s.awaitLive(x, watch, timeout)
	} else {
		verdict, err = watch.Look(x.r.Context())
	}
	switch {
	case errors.Is(err, gitstore.ErrNotFound):
		return nil, noSuch("commit", watch.SHA, x.tenant)
	case errors.Is(err, gitstore.ErrUnavailable):
		return nil, unreadable(err)
	case err != nil:
		return nil, err
	}
	body := append(appendVerdict(nil, &verdict), '\n')
	return &answer{status: http.StatusOK, etag: header.BodyETag(body), body: body}, nil
}

func (s *Server) awaitLive(x *exchange, watch *live.Watch, timeout time.Duration) (live.Verdict, error) {
	ctx, end, err := s.patience(x, timeout)
	if err != nil {
		return live.Verdict{}, err
	}
	defer end()
	// Who waits has pushed just now: what tells of it may be on its way or lost.
	x.tenant.Repository.Hint()
	verdict, err := watch.Wait(ctx)
	return verdict, errors.Join(err, x.stillAllowed())
}

func appendVerdict(b []byte, v *live.Verdict) []byte {
	b = appendEvent(b, &v.Commit.Event)
	b = render.Name(append(b[:len(b)-1], `,"landed":`...), v.Commit.Landed)
	b = appendBool(append(b, `,"live":`...), v.Live)
	b = append(b, `,"definitions":[`...)
	for i := range v.Definitions {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTouched(b, &v.Definitions[i])
	}
	b = append(b, `],"missing":[`...)
	for i, m := range v.Missing() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMissing(b, &m)
	}
	return append(b, "]}"...)
}

func appendTouched(b []byte, d *live.Definition) []byte {
	b = render.String(append(b, `{"path":`...), d.Touched.Path)
	b = append(b, `,"name":`...)
	if d.Touched.Name.IsZero() {
		b = append(b, "null"...)
	} else {
		b = render.Name(b, d.Touched.Name)
	}
	change := "Changed"
	switch {
	case d.Touched.Added:
		change = "Added"
	case d.Touched.Removed:
		change = "Removed"
	}
	b = render.String(append(b, `,"change":`...), change)
	b = appendBool(append(b, `,"superseded":`...), d.Superseded)
	b = append(b, `,"resourceVersion":`...)
	if d.Revision.IsZero() {
		b = append(b, "null"...)
	} else {
		b = render.Name(b, d.Revision)
	}
	b = append(b, `,"targets":[`...)
	for i := range d.Targets {
		if i > 0 {
			b = append(b, ',')
		}
		b = render.TargetStatus(b, &d.Targets[i])
	}
	return append(b, "]}"...)
}

func appendMissing(b []byte, m *live.Missing) []byte {
	b = render.String(append(b, `{"state":`...), string(m.State))
	b = render.String(append(b, `,"reason":`...), string(m.Reason))
	b = render.String(append(b, `,"message":`...), m.Message)
	if m.Path != "" {
		b = render.String(append(b, `,"path":`...), m.Path)
	}
	if !m.Name.IsZero() {
		b = render.Name(append(b, `,"name":`...), m.Name)
	}
	if t := m.Target; t != nil {
		b = render.Name(append(b, `,"cluster":`...), t.Target.Cluster)
		b = render.Name(append(b, `,"namespace":`...), t.Target.Namespace)
		b = render.Name(append(b, `,"secretName":`...), t.Secret)
	}
	return append(b, '}')
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, "true"...)
	}
	return append(b, "false"...)
}
