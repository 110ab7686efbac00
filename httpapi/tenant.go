package httpapi

import (
	"net/http"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/header"
	"secretsync/httpapi/render"
	"secretsync/reconcile/fault"
)

func (s *Server) getTenant(x *exchange.Exchange) (*exchange.Answer, error) {
	t := x.Tenant
	snapshot, err := x.Snapshot()
	if err != nil {
		return nil, err
	}
	b := render.Name([]byte(`{"name":`), t.Name)
	b = render.String(append(b, `,"displayName":`...), t.DisplayName)
	b = append(b, `,"resourceVersion":`...)
	if head := snapshot.Head(); head.IsZero() {
		b = append(b, "null"...) // no commit yet
	} else {
		b = render.Name(b, head)
	}
	b = render.Time(append(b, `,"createdAt":`...), t.Repository.Created())
	b = appendFreshness(b, t.Repository.Freshness())
	status, problems := s.cfg.Reconciler.Tenant(t.Name), t.Repository.Problems()
	if status.Reason == fault.ReasonSuspended {
		problems = append([]string{status.Message}, problems...)
	}
	b = render.String(append(b, `,"status":{"phase":`...), string(status.Phase))
	b = appendProblems(b, problems, snapshot.Problems())
	b = append(b, "}}\n"...)
	return &exchange.Answer{Status: http.StatusOK, ETag: header.BodyETag(b), Body: b}, nil
}

// appendFreshness tells where the repository is, if that is elsewhere, and how old
// what is known of it is.
func appendFreshness(b []byte, f gitstore.Freshness) []byte {
	if f.Remote == "" {
		return b
	}
	b = render.String(append(b, `,"repository":{"url":`...), f.Remote)
	b = append(b, `,"fetchedAt":`...)
	if f.Fetched.IsZero() {
		b = append(b, "null"...) // not yet
	} else {
		b = render.Time(b, f.Fetched)
	}
	if f.Failing != nil {
		cause := gitstore.Cause(f.Failing)
		if cause == "" {
			cause = "it can't be fetched now"
		}
		b = render.String(append(b, `,"problem":`...), cause)
	}
	return append(b, '}')
}

// mostProblems is how many are told in an answer; a push can bring any number
// of files that are no definitions.
const mostProblems = 100

// appendProblems tells what is wrong with the repository as a whole, and of files
// that are no definition's, such as one with a wrong name: no other answer has a
// place for them.
func appendProblems(b []byte, problems []string, files []definition.FileError) []byte {
	for _, p := range files[:min(len(files), mostProblems)] {
		problems = append(problems, p.Error())
	}
	if len(problems) == 0 {
		return b
	}
	b = append(b, `,"problems":[`...)
	for i, p := range problems[:min(len(problems), mostProblems)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = render.String(b, p)
	}
	return append(b, ']')
}
