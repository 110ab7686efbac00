package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/githttp/prereceive"
)

// The tenants' repositories, for stock git: /git/<tenant>.git. It is Git's protocol
// and not the API's, so the API's description has none of it. Who comes and what he
// may do is decided as for the API; that Git sends the key as a password, and reads
// errors as text, is all that differs.
const gitPath = "/git/"

var gitRoutes = []route{
	{http.MethodGet, gitPath + ":repository/info/refs", apikey.Readonly, (*Server).gitRefs},
	{http.MethodPost, gitPath + ":repository/" + string(githttp.UploadPack), apikey.Readonly, (*Server).gitFetch},
	{http.MethodPost, gitPath + ":repository/" + string(githttp.ReceivePack), apikey.Readonly, (*Server).gitPush},
}

// GitServer serves a repository to stock git, a *[githttp.Server].
type GitServer interface {
	Serve(http.ResponseWriter, *http.Request, githttp.Exchange) (githttp.Report, error)
	// Close ends what is under way.
	Close()
}

// Clone is how a tenant's repository is served to stock git.
type Clone struct {
	Folder string // the bare repository
	Rules  prereceive.Rules
}

var (
	errNoGitKey = &problem{status: http.StatusUnauthorized, sentence: "no API key: give one as the password, with any user name"}
	errGitRole  = &problem{status: http.StatusForbidden, sentence: "this API key may fetch and not push: that needs one with the role admin"}
	errNotHere  = &problem{status: http.StatusNotFound, sentence: "repositories are not served here: the operator has switched it off"}
	errRemote   = &problem{status: http.StatusNotFound, sentence: "the repository of this tenant is not served here: clone it from its remote URL"}
	errGarbled  = &problem{status: http.StatusBadRequest, sentence: "git made nothing of the request: it is malformed or was cut off"}
)

func underGit(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, gitPath) }

func (s *Server) gitRefs(x *exchange) (*answer, error) {
	query, err := x.query()
	if err != nil {
		return nil, err
	}
	service, err := githttp.ParseService(query.Get("service"))
	if err != nil {
		return nil, err
	}
	return s.git(x, githttp.Exchange{Service: service, Refs: true})
}

func (s *Server) gitFetch(x *exchange) (*answer, error) {
	return s.git(x, githttp.Exchange{Service: githttp.UploadPack})
}

func (s *Server) gitPush(x *exchange) (*answer, error) {
	return s.git(x, githttp.Exchange{Service: githttp.ReceivePack})
}

func (s *Server) git(x *exchange, e githttp.Exchange) (*answer, error) {
	switch clone := x.tenant.Clone; {
	case x.params.ByName("repository") != x.tenant.Name.String()+".git":
		return nil, errNoRoute
	case e.Service == githttp.ReceivePack && !x.key.Role.Allows(apikey.Admin):
		return nil, errGitRole
	case s.cfg.Git == nil:
		return nil, errNotHere
	case clone == nil || isMirror(x.tenant):
		return nil, errRemote
	case x.tenant.Repository.Created().IsZero(): // not open: it may be anything
		return nil, unreadable(x.tenant.Repository.Healthy())
	default:
		e.Allowed = x.stillAllowed
		e.Tenant, e.Folder = x.tenant.Name.String(), clone.Folder
		if e.Service == githttp.ReceivePack && !e.Refs {
			var err error
			if e.Rules, err = clone.Rules.Encode(); err != nil {
				return nil, err
			}
		}
	}
	report, err := s.cfg.Git.Serve(x.ResponseWriter, x.r, e)
	x.bytes, x.updates = report.Bytes, report.Updates
	if len(x.updates) > 0 {
		x.did = audit.Pushed
	}
	if report.Begun {
		x.status, x.cause = http.StatusOK, err
		return nil, nil
	}
	return nil, gitProblem(e, err)
}

// isMirror reports whether a repository stands for one elsewhere, which is the one
// to clone and to push to.
func isMirror(t *Tenant) bool {
	m, ok := t.Repository.(interface{ Freshness() gitstore.Freshness })
	return ok && m.Freshness().Remote != ""
}

// gitProblem is the answer where git gave none.
func gitProblem(e githttp.Exchange, err error) error {
	p := problemOf(err)
	if p.status != errInner.status {
		return err
	}
	told := *errGarbled
	if e.Refs {
		told = problem{status: http.StatusServiceUnavailable, retryAfter: unavailableRetry, sentence: "the tenant's repository can't be read by git now; the log has the cause under this X-Request-Id"}
	}
	told.cause = errors.Join(err, p.cause)
	return &told
}

// mostRefsLogged bounds what one push has in its line of the log.
const mostRefsLogged = 20

// pushed tells which references a push moved, for those who record it.
func pushed(updates []githttp.Update) (told []string) {
	for _, u := range updates[:min(len(updates), mostRefsLogged)] {
		what := "refused"
		if u.Done {
			what = short(u.Old) + ".." + short(u.New)
		}
		told = append(told, loggedRef(u.Ref)+" "+what)
	}
	if more := len(updates) - mostRefsLogged; more > 0 {
		told = append(told, fmt.Sprintf("and %d more", more))
	}
	return told
}

func short(id string) string { return id[:min(len(id), 12)] }

// loggedRef is the name of a reference, if it is one that can stand in a log as
// it is: a client makes it up.
func loggedRef(ref string) string {
	if !wellFormedID(ref) || strings.Contains(ref, apikey.TokenPrefix) {
		return "(another name)"
	}
	return ref
}
