package httpapi

import (
	"errors"
	"net/http"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/githttp"
)

// Auditor is told of every request that a key was shown for or needed for, before it is
// answered, and must not keep it waiting: an *[audit.Log].
type Auditor interface {
	Record(audit.Event)
}

// record tells the auditor of a request, once, with the status that it is answered with.
// Of those that need no key there is nothing to tell.
func (x *exchange) record() {
	to := x.s.cfg.Audit
	if to == nil || x.recorded {
		return
	}
	e := audit.Event{Kind: audit.Access, Reason: x.denied}
	switch {
	case x.denied != "":
		e.Kind, e.ClaimedKey, e.AskedTenant = audit.Denied, x.claimed(), x.askedTenant()
	case x.key == nil:
		return
	case x.did != "" && x.status < http.StatusBadRequest:
		e.Kind = x.did
	case !x.audited():
		return
	}
	x.recorded = true
	e.RequestID, e.Remote, e.Status = x.requestID, x.remote.String(), x.status
	e.Method, e.Route = methodLabel(x.r.Method), "none"
	if x.route != nil {
		e.Route = x.route.path
	}
	if x.key != nil {
		e.Key, e.Tenant, e.Role = x.key.ID, x.key.Tenant.String(), string(x.key.Role)
	}
	if !x.name.IsZero() {
		e.Name = x.name.String()
	}
	if !x.made.IsZero() {
		e.Commit = x.made.String()
	}
	e.Operations, e.Subject, e.Branch = x.operations, x.subject, x.branch
	e.References = pushed(x.updates)
	to.Record(e)
}

// audited reports whether the mere use of a key is recorded. What a page is made of is
// not: the page is.
func (x *exchange) audited() bool {
	_, within := proofOf(x.r)
	reads := x.r.Method == http.MethodGet || x.r.Method == http.MethodHead ||
		x.route != nil && x.route.path == gitPath+":repository/"+string(githttp.UploadPack)
	return !reads || !within && !x.s.cfg.AuditNoReads
}

// denial is why an answer is one that nobody gets who has the right key, and patience;
// empty for other answers.
func denial(err error, status int) audit.Reason {
	switch status {
	case http.StatusTooManyRequests:
		return audit.Limited
	case http.StatusUnauthorized:
		switch {
		case errors.Is(err, errNoKey):
			return audit.NoKey
		case errors.Is(err, errNoGitKey):
			return "" // stock git asks without a key first
		case errors.Is(err, apikey.ErrExpired):
			return audit.ExpiredKey
		}
		return audit.WrongKey
	case http.StatusForbidden:
		switch {
		case errors.Is(err, errTenant):
			return audit.WrongTenant
		case isHook(err):
			return audit.NotGenuine
		}
		return audit.WrongRole
	}
	return ""
}

// isHook reports whether an error is [errHook], which may bear a cause.
func isHook(err error) bool {
	p, ok := errors.AsType[*problem](err)
	return ok && p.sentence == errHook.sentence
}

// claimed is the id of the key that a refused request named, if there is one of that id:
// what a client makes up is not written down.
func (x *exchange) claimed() string {
	token := x.token
	if token == "" {
		token, _ = presented(x.r)
	}
	id, _, ok := apikey.Split(token)
	if key := x.s.find(x.state, new(bool))(id); ok && key != nil && x.key == nil {
		return key.ID
	}
	return ""
}

// askedTenant is the tenant that a key gave no access to, if what stands in the path can
// be the name of one.
func (x *exchange) askedTenant() string {
	if segment, ok := forward.Segment(x.r.URL.Path); ok && x.denied == audit.WrongTenant {
		if name, err := gitstore.ParseTenantName(segment); err == nil {
			return name.String()
		}
	}
	return ""
}
