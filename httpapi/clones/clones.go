package clones

import (
	"errors"
	"net/http"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/problem"
)

// Clones answers stock git, for the repositories of all tenants.
type Clones struct{ Git Git } // nil: none is served

// Git serves a repository to stock git, a *[githttp.Server].
type Git interface {
	Serve(http.ResponseWriter, *http.Request, githttp.Exchange) (githttp.Report, error)
}

var (
	errRole    = &problem.Problem{Status: http.StatusForbidden, Denied: audit.WrongRole, Sentence: "this API key may fetch and not push: that needs one with the role admin"}
	errNotHere = &problem.Problem{Status: http.StatusNotFound, Sentence: "repositories are not served here: the operator has switched it off"}
	errRemote  = &problem.Problem{Status: http.StatusNotFound, Sentence: "the repository of this tenant is not served here: clone it from its remote URL"}
	errGarbled = &problem.Problem{Status: http.StatusBadRequest, Sentence: "git made nothing of the request: it is malformed or was cut off"}
)

// Refs tells which branches and tags there are, as a fetch and a push begin.
func (c *Clones) Refs(x *exchange.Exchange) (*exchange.Answer, error) {
	query, err := x.Query()
	if err != nil {
		return nil, err
	}
	service, err := githttp.ParseService(query.Get("service"))
	if err != nil {
		return nil, err
	}
	return c.serve(x, githttp.Exchange{Service: service, Refs: true})
}

// Fetch sends what git lacks.
func (c *Clones) Fetch(x *exchange.Exchange) (*exchange.Answer, error) {
	return c.serve(x, githttp.Exchange{Service: githttp.UploadPack})
}

// Push takes what git sends, if the key may change the repository.
func (c *Clones) Push(x *exchange.Exchange) (*exchange.Answer, error) {
	return c.serve(x, githttp.Exchange{Service: githttp.ReceivePack})
}

func (c *Clones) serve(x *exchange.Exchange, e githttp.Exchange) (*exchange.Answer, error) {
	switch clone := x.Tenant.Clone; {
	case x.Params.ByName("repository") != x.Tenant.Name.String()+".git":
		return nil, problem.ErrNoRoute
	case e.Service == githttp.ReceivePack && !x.Key.Role.Allows(apikey.Admin):
		return nil, errRole
	case c.Git == nil:
		return nil, errNotHere
	case clone == nil || x.Tenant.Repository.Freshness().Remote != "":
		return nil, errRemote
	case x.Tenant.Repository.Created().IsZero(): // not open: it may be anything
		return nil, problem.Unreadable(x.Tenant.Repository.Healthy())
	default:
		e.Allowed = x.StillAllowed
		e.Tenant, e.Folder = x.Tenant.Name.String(), clone.Folder
		if e.Service == githttp.ReceivePack && !e.Refs {
			var err error
			if e.Rules, err = clone.Rules.Encode(); err != nil {
				return nil, err
			}
		}
	}
	report, err := c.Git.Serve(x.ResponseWriter, x.Request, e)
	x.Updates = report.Updates
	if len(x.Updates) > 0 {
		x.Did = audit.Pushed
	}
	if report.Begun {
		x.Answered(http.StatusOK, report.Bytes, err)
		return nil, nil
	}
	return nil, problemOf(e, err)
}

// problemOf is the answer where git gave none.
func problemOf(e githttp.Exchange, err error) error {
	p := problem.Of(err)
	if p.Status != problem.ErrInner.Status {
		return err
	}
	told := *errGarbled
	if e.Refs {
		told = problem.Problem{Status: http.StatusServiceUnavailable, RetryAfter: problem.Later, Sentence: "the tenant's repository can't be read by git now; the log has the cause under this X-Request-Id"}
	}
	told.Cause = errors.Join(err, p.Cause)
	return &told
}
