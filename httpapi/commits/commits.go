package commits

import (
	"errors"
	"net/http"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/header"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/problem"
	"secretsync/httpapi/render"
	"secretsync/reconcile/live"
)

// Commits answers what is asked of the commits of all tenants.
type Commits struct {
	Reconciler Reconciler
	Shares     *limit.Shares
	Limit      func() int // how many definitions a plan may have; 0: no limit of its own
}

// Reconciler is what is asked of a *[reconcile.Reconciler].
type Reconciler interface {
	live.Source
	Planner
}

// Get says whether a commit of the followed branch is live; with ?wait=Live
// as soon as it is, or at the timeout as it stands then.
func (c *Commits) Get(x *exchange.Exchange) (*exchange.Answer, error) {
	query, err := x.Query()
	if err != nil {
		return nil, err
	}
	if query.Has("wait") && query.Get("wait") != "Live" {
		return nil, problem.BadRequest("wait", "must be Live")
	}
	timeout, err := exchange.ParseTimeout(query)
	if err != nil {
		return nil, err
	}
	if _, err := x.Snapshot(); err != nil {
		return nil, err
	}
	watch := &live.Watch{Tenant: x.Tenant.Name, Repository: x.Tenant.Repository, Source: c.Reconciler, SHA: x.Params.ByName("sha")}
	var verdict live.Verdict
	if query.Has("wait") {
		verdict, err = c.awaitLive(x, watch, timeout)
	} else {
		verdict, err = watch.Look(x.Request.Context())
	}
	switch {
	case errors.Is(err, gitstore.ErrNotFound):
		return nil, x.NoSuch("commit", watch.SHA)
	case errors.Is(err, gitstore.ErrUnavailable):
		return nil, problem.Unreadable(err)
	case err != nil:
		return nil, err
	}
	body := append(appendVerdict(nil, &verdict), '\n')
	return &exchange.Answer{Status: http.StatusOK, ETag: header.BodyETag(body), Body: body}, nil
}

func (c *Commits) awaitLive(x *exchange.Exchange, watch *live.Watch, timeout time.Duration) (live.Verdict, error) {
	ctx, end, err := x.Patience(timeout)
	if err != nil {
		return live.Verdict{}, err
	}
	defer end()
	// Who waits has pushed just now: what tells of it may be on its way or lost.
	x.Tenant.Repository.Hint()
	verdict, err := watch.Wait(ctx)
	return verdict, errors.Join(err, x.StillAllowed())
}

func appendVerdict(b []byte, v *live.Verdict) []byte {
	b = render.Event(b, &v.Commit.Event)
	b = render.Name(append(b[:len(b)-1], `,"landed":`...), v.Commit.Landed)
	b = render.Bool(append(b, `,"live":`...), v.Live)
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
	b = render.Bool(append(b, `,"superseded":`...), d.Superseded)
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
