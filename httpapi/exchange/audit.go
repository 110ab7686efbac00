package exchange

import (
	"net/http"

	"secretsync/gitstore"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/forward"
)

// Auditor is told of every request that a key was shown for or needed for, before it is
// answered, and must not keep it waiting: an *[audit.Log].
type Auditor interface {
	Record(audit.Event)
}

// record tells the auditor of a request, once, with the status that it is answered with.
// Of those that need no key there is nothing to tell.
func (x *Exchange) record() {
	to := x.desk.cfg.Audit
	if to == nil || x.recorded {
		return
	}
	e := audit.Event{Kind: audit.Access, Reason: x.denied}
	switch {
	case x.denied != "":
		e.Kind, e.ClaimedKey, e.AskedTenant = audit.Denied, x.claimed(), x.askedTenant()
	case x.Key == nil:
		return
	case x.Did != "" && x.status < http.StatusBadRequest:
		e.Kind = x.Did
	case !x.audited():
		return
	}
	x.recorded = true
	e.RequestID, e.Remote, e.Status = x.RequestID, x.Remote.String(), x.status
	e.Method, e.Route = methodLabel(x.Request.Method), "none"
	if x.route != nil {
		e.Route = x.route.Path
	}
	if x.Key != nil {
		e.Key, e.Tenant, e.Role = x.Key.ID, x.Key.Tenant.String(), string(x.Key.Role)
	}
	if !x.Name.IsZero() {
		e.Name = x.Name.String()
	}
	if !x.Made.IsZero() {
		e.Commit = x.Made.String()
	}
	e.Operations, e.Subject, e.Branch = x.Operations, x.Subject, x.Branch
	e.References = pushed(x.Updates)
	to.Record(e)
}

// audited reports whether the mere use of a key is recorded. What a page is made of is
// not: the page is.
func (x *Exchange) audited() bool {
	reads := x.Request.Method == http.MethodGet || x.Request.Method == http.MethodHead ||
		x.route != nil && x.route.Reads
	return !reads || !x.Within && !x.desk.cfg.NoReads
}

// claimed is the id of the key that a refused request named, if there is one of that id:
// what a client makes up is not written down.
func (x *Exchange) claimed() string {
	if x.Key != nil {
		return ""
	}
	if key := x.desk.cfg.Keys.Claimed(x.Request, x.token); key != nil {
		return key.ID
	}
	return ""
}

// askedTenant is the tenant that a key gave no access to, if what stands in the path can
// be the name of one.
func (x *Exchange) askedTenant() string {
	if segment, ok := forward.Segment(x.Request.URL.Path); ok && x.denied == audit.WrongTenant {
		if name, err := gitstore.ParseTenantName(segment); err == nil {
			return name.String()
		}
	}
	return ""
}
