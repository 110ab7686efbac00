package httpapi

import (
	"errors"
	"fmt"
	"net/http"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/body"
	"secretsync/httpapi/header"
	"secretsync/httpapi/kept"
	"secretsync/httpapi/render"
	"secretsync/reconcile"
)

// noSuch is the one wording of 404 for things of a tenant.
func noSuch(kind, name string, t *Tenant) *problem {
	return &problem{status: http.StatusNotFound, sentence: fmt.Sprintf("tenant %s has no %s %s", t.Name, kind, definition.Quote(name))}
}

// refusal words what a write was refused for where this package knows better
// what the client can do about it.
func (x *exchange) refusal(err error, name definition.Name) error {
	switch {
	case errors.Is(err, gitstore.ErrNotFound):
		return noSuch("secret", name.String(), x.tenant)
	case errors.Is(err, gitstore.ErrExists) && !errors.Is(err, definition.ErrInvalid):
		return &problem{status: http.StatusConflict, sentence: fmt.Sprintf("tenant %s has a secret %q already: PATCH changes its targets, DELETE makes room for another", x.tenant.Name, name.String())}
	}
	return err
}

func (s *Server) getSecret(x *exchange) (*answer, error) {
	if x.r.URL.RawQuery != "" {
		query, err := x.query()
		if err != nil {
			return nil, err
		}
		want, err := parseWait(query)
		if err != nil {
			return nil, err
		}
		if want.phase != "" {
			e, status, err := s.await(x, want)
			if err != nil {
				return nil, err
			}
			return secretAnswer(http.StatusOK, e, &status), nil
		}
	}
	version := s.cfg.Reconciler.Version(x.tenant.Name) // first, as for the list
	e, err := x.entry()
	if err != nil {
		return nil, err
	}
	about := kept.Subject{Tenant: x.tenant.Name, Name: e.Name}
	r := s.kept.Get(about, e, version, s.now())
	if r == nil {
		status := s.cfg.Reconciler.Status(x.tenant.Name, e)
		a := secretAnswer(http.StatusOK, e, &status)
		r = kept.New(e, version, s.now(), a.body)
		r.ETag = []string{a.etag}
		s.kept.Put(about, r)
	}
	return &answer{status: http.StatusOK, kept: r, body: r.Body}, nil
}

func (s *Server) createSecret(x *exchange) (*answer, error) {
	o, err := x.object()
	if err != nil {
		return nil, err
	}
	definition, err := body.Creation(o)
	if err != nil {
		return nil, err
	}
	x.name = definition.Name
	a, err := s.write(x, http.StatusCreated, gitstore.Creation(definition))
	if err != nil || a.status == http.StatusAccepted {
		return a, err
	}
	a.location = tenantsPath + x.tenant.Name.String() + "/secrets/" + x.name.String()
	return a, nil
}

func (s *Server) patchSecret(x *exchange) (*answer, error) {
	name, err := x.definitionName()
	if err != nil {
		return nil, err
	}
	precondition, err := header.IfMatch(x.r.Header["If-Match"])
	if err != nil {
		return nil, err
	}
	o, err := x.object()
	if err != nil {
		return nil, err
	}
	change, err := body.Patch(o, name)
	if err != nil {
		return nil, err
	}
	return s.write(x, http.StatusOK, gitstore.PatchOf(name, precondition, change))
}

func (s *Server) deleteSecret(x *exchange) (*answer, error) {
	name, err := x.definitionName()
	if err != nil {
		return nil, err
	}
	precondition, err := header.IfMatch(x.r.Header["If-Match"])
	if err != nil {
		return nil, err
	}
	_, proposed, err := x.make(gitstore.Lenient, []gitstore.Operation{gitstore.Deletion(name, precondition)})
	switch {
	case err != nil:
		return nil, x.refusal(err, name)
	case proposed != nil:
		return proposed, nil
	}
	return &answer{status: http.StatusNoContent}, nil
}

// syncSecret answers 202 with the definition as it stands before the vault was
// read again.
func (s *Server) syncSecret(x *exchange) (*answer, error) {
	e, err := x.entry()
	if err != nil {
		return nil, err
	}
	s.cfg.Reconciler.SyncNow(x.tenant.Name, e.Name)
	status := s.cfg.Reconciler.Status(x.tenant.Name, e)
	return secretAnswer(http.StatusAccepted, e, &status), nil
}

// syncTenant has values read again that somebody says changed.
func (s *Server) syncTenant(x *exchange) (*answer, error) {
	text, err := x.body()
	if err != nil {
		return nil, err
	}
	path, err := parseSync(text)
	if err != nil {
		return nil, err
	}
	var n int
	if path.IsZero() {
		n = s.cfg.Reconciler.SyncAll(x.tenant.Name)
	} else {
		n = s.cfg.Reconciler.SyncPath(x.tenant.Name, path)
	}
	return &answer{status: http.StatusAccepted, body: fmt.Appendf(nil, "{\"definitions\":%d}\n", n)}, nil
}

// parseSync reads which path is meant; zero is all of them, which has to be said.
func parseSync(text []byte) (path definition.SecretPath, err error) {
	o, err := body.Parse(text)
	if err != nil {
		return path, err
	}
	if err := o.Only("secretPath", "all"); err != nil {
		return path, err
	}
	all, ok := o.Get("all")
	switch {
	case !ok && !o.Has("secretPath"):
		return path, o.Refuse("secretPath", `is missing; name the path, or give {"all": true}`)
	case !ok:
		return body.Field(o, "secretPath", definition.ParseSecretPath)
	case all != true:
		return path, o.WrongType("all", all, "true, or absent")
	case o.Has("secretPath"):
		return path, o.Refuse("all", "goes without secretPath; give one of them")
	}
	return path, nil
}

// write makes one operation that leaves a definition, and answers with that as
// it stands now; or 202 with where it is proposed.
func (s *Server) write(x *exchange, code int, operation gitstore.Operation) (*answer, error) {
	written, proposed, err := x.apply(operation)
	switch {
	case err != nil:
		return nil, x.refusal(err, x.name)
	case proposed != nil:
		return proposed, nil
	}
	return s.left(x, code, &written[0]), nil
}

// left is the answer with a definition that was written this moment.
func (s *Server) left(x *exchange, code int, w *gitstore.Written) *answer {
	status, warnings := s.standing(x.tenant.Name, w)
	a := secretAnswer(code, w.Entry, &status)
	a.warnings = warn(warnings)
	return a
}

func secretAnswer(code int, e *gitstore.Entry, status *reconcile.Status) *answer {
	body := render.Secret(make([]byte, 0, 1024), e, status)
	return &answer{status: code, etag: header.ETag(e.Revision), body: append(body, '\n')}
}
