package httpapi

import (
	"net/http"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/header"
	"secretsync/httpapi/render"
	"secretsync/reconcile"
)

func (s *Server) getTenant(x *exchange) (*answer, error) {
	t := x.tenant
	snapshot, err := x.snapshot()
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
	if status.Reason == reconcile.ReasonSuspended {
		problems = append([]string{status.Message}, problems...)
	}
	b = render.String(append(b, `,"status":{"phase":`...), string(status.Phase))
	b = appendProblems(b, problems, snapshot.Problems())
	b = append(b, "}}\n"...)
	return &answer{status: http.StatusOK, etag: header.BodyETag(b), body: b}, nil
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

func (s *Server) listClusters(x *exchange) (*answer, error) {
	body := []byte(`{"items":[`)
	for i, c := range s.cfg.Reconciler.Clusters(x.tenant.Name) {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendCluster(body, &c)
	}
	return &answer{status: http.StatusOK, body: append(body, "]}\n"...)}, nil
}

func (s *Server) getCluster(x *exchange) (*answer, error) {
	name := x.params.ByName("name")
	for _, c := range s.cfg.Reconciler.Clusters(x.tenant.Name) {
		if c.Name.String() == name {
			body := append(appendCluster(nil, &c), '\n')
			return &answer{status: http.StatusOK, etag: header.BodyETag(body), body: body}, nil
		}
	}
	return nil, noSuch("cluster", name, x.tenant)
}

// appendCluster leaves out why a cluster can't be reached: that tells of the
// operator's network.
func appendCluster(b []byte, c *reconcile.ClusterStatus) []byte {
	b = render.Name(append(b, `{"name":`...), c.Name)
	phase := "Unreachable"
	if c.Reachable {
		phase = "Running"
	}
	b = render.String(append(b, `,"status":{"phase":`...), phase)
	b = append(b, `,"kubernetesVersion":`...)
	if c.KubernetesVersion == "" {
		b = append(b, "null"...) // not reached yet
	} else {
		b = render.String(b, c.KubernetesVersion)
	}
	return append(b, "}}"...)
}
