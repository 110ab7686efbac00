package definitions

import (
	"errors"
	"fmt"
	"net/http"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
	"secretsync/httpapi/body"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/header"
	"secretsync/httpapi/kept"
	"secretsync/httpapi/problem"
	"secretsync/httpapi/render"
	"secretsync/reconcile/status"
)

// refusal words what a write was refused for where this package knows better
// what the client can do about it.
func refusal(x *exchange.Exchange, err error, name definition.Name) error {
	switch {
	case errors.Is(err, gitstore.ErrNotFound):
		return x.NoSuch("secret", name.String())
	case errors.Is(err, gitstore.ErrExists) && !errors.Is(err, definition.ErrInvalid):
		return &problem.Problem{Status: http.StatusConflict, Sentence: fmt.Sprintf("tenant %s has a secret %q already: PATCH changes its targets, DELETE makes room for another", x.Tenant.Name, name.String())}
	}
	return err
}

// Get answers with one definition and how it stands, with ?wait= as soon as it has a phase.
func (d *Definitions) Get(x *exchange.Exchange) (*exchange.Answer, error) {
	if x.Request.URL.RawQuery != "" {
		query, err := x.Query()
		if err != nil {
			return nil, err
		}
		want, err := parseWait(query)
		if err != nil {
			return nil, err
		}
		if want.phase != "" {
			e, status, err := d.await(x, want)
			if err != nil {
				return nil, err
			}
			return secretAnswer(http.StatusOK, e, &status), nil
		}
	}
	version := d.Reconciler.Version(x.Tenant.Name) // first, as for the list
	e, err := x.Entry()
	if err != nil {
		return nil, err
	}
	about := kept.Subject{Tenant: x.Tenant.Name, Name: e.Name}
	r := d.kept.Get(about, e, version, d.Now())
	if r == nil {
		status := d.Reconciler.Status(x.Tenant.Name, e)
		a := secretAnswer(http.StatusOK, e, &status)
		r = kept.New(e, version, d.Now(), a.Body)
		r.ETag = []string{a.ETag}
		d.kept.Put(about, r)
	}
	return &exchange.Answer{Status: http.StatusOK, Kept: r, Body: r.Body}, nil
}

// Create makes a definition that is not there yet.
func (d *Definitions) Create(x *exchange.Exchange) (*exchange.Answer, error) {
	o, err := x.Object()
	if err != nil {
		return nil, err
	}
	definition, err := body.Creation(o)
	if err != nil {
		return nil, err
	}
	x.Name = definition.Name
	a, err := d.write(x, http.StatusCreated, operation.Creation(definition))
	if err != nil || a.Status == http.StatusAccepted {
		return a, err
	}
	a.Location = x.Request.URL.Path + "/" + x.Name.String()
	return a, nil
}

// addressed returns the definition that a write is about, and how it must stand, as its
// headers say.
func addressed(x *exchange.Exchange, stands func(http.Header) (operation.Precondition, error)) (name definition.Name, pre operation.Precondition, err error) {
	if name, err = x.DefinitionName(); err == nil {
		pre, err = stands(x.Request.Header)
	}
	return name, pre, err
}

func ifMatch(h http.Header) (operation.Precondition, error) { return header.IfMatch(h["If-Match"]) }

// Patch changes what the body has of a definition.
func (d *Definitions) Patch(x *exchange.Exchange) (*exchange.Answer, error) {
	name, precondition, err := addressed(x, ifMatch)
	if err != nil {
		return nil, err
	}
	o, err := x.Object()
	if err != nil {
		return nil, err
	}
	change, err := body.Patch(o, name)
	if err != nil {
		return nil, err
	}
	return d.write(x, http.StatusOK, operation.PatchOf(name, precondition, change))
}

// Delete takes a definition away; its copies follow.
func (d *Definitions) Delete(x *exchange.Exchange) (*exchange.Answer, error) {
	name, precondition, err := addressed(x, ifMatch)
	if err != nil {
		return nil, err
	}
	_, proposed, err := change(x, operation.Lenient, []operation.Operation{operation.Deletion(name, precondition)})
	switch {
	case err != nil:
		return nil, refusal(x, err, name)
	case proposed != nil:
		return proposed, nil
	}
	return &exchange.Answer{Status: http.StatusNoContent}, nil
}

// Sync answers 202 with the definition as it stands before the vault was
// read again.
func (d *Definitions) Sync(x *exchange.Exchange) (*exchange.Answer, error) {
	e, err := x.Entry()
	if err != nil {
		return nil, err
	}
	d.Reconciler.SyncNow(x.Tenant.Name, e.Name)
	status := d.Reconciler.Status(x.Tenant.Name, e)
	return secretAnswer(http.StatusAccepted, e, &status), nil
}

// SyncTenant has values read again that somebody says changed.
func (d *Definitions) SyncTenant(x *exchange.Exchange) (*exchange.Answer, error) {
	text, err := x.Body()
	if err != nil {
		return nil, err
	}
	path, err := parseSync(text)
	if err != nil {
		return nil, err
	}
	var n int
	if path.IsZero() {
		n = d.Reconciler.SyncAll(x.Tenant.Name)
	} else {
		n = d.Reconciler.SyncPath(x.Tenant.Name, path)
	}
	return &exchange.Answer{Status: http.StatusAccepted, Body: fmt.Appendf(nil, "{\"definitions\":%d}\n", n)}, nil
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
func (d *Definitions) write(x *exchange.Exchange, code int, o operation.Operation) (*exchange.Answer, error) {
	written, proposed, err := apply(x, o)
	switch {
	case err != nil:
		return nil, refusal(x, err, x.Name)
	case proposed != nil:
		return proposed, nil
	}
	return d.left(x, code, &written[0]), nil
}

// left is the answer with a definition that was written this moment.
func (d *Definitions) left(x *exchange.Exchange, code int, w *operation.Written) *exchange.Answer {
	status, warnings := d.standing(x.Tenant.Name, w)
	a := secretAnswer(code, w.Entry, &status)
	a.Warnings = warnings
	return a
}

func secretAnswer(code int, e *catalog.Entry, s *status.Status) *exchange.Answer {
	body := render.Secret(make([]byte, 0, 1024), e, s)
	return &exchange.Answer{Status: code, ETag: header.ETag(e.Revision), Body: append(body, '\n')}
}
