package console

import (
	"errors"
	"net/http"
	"net/url"
	"time"
)

type tenantPage struct {
	Done      string     // what a form did just now
	Refused   string     // why it did nothing
	Deletions *deletions // that are held; nil where that is not known, or not for this key to see
	Unknown   string     // why that is not known
	Tenant    tenant
	Clusters  []cluster
	Proposals []proposal
	Problem   string // with the list of proposals
}

func (v *visit) showTenant(w http.ResponseWriter) error {
	return v.tenant(w, tenantPage{Done: v.r.URL.Query().Get("done")})
}

func (v *visit) tenant(w http.ResponseWriter, p tenantPage) error {
	if err := v.get("", &p.Tenant); err != nil {
		return err
	}
	var clusters struct{ Items []cluster }
	if err := v.get("/clusters", &clusters); err != nil {
		return err
	}
	var proposals struct {
		Items   []proposal
		Problem string
	}
	if err := v.get("/proposals", &proposals); err != nil {
		return err
	}
	if v.who.Admin {
		var held deletions
		switch err := v.get("/deletions", &held); {
		case err == nil:
			p.Deletions = &held
		case isStatus(err, http.StatusNotFound): // a server that holds none
		default: // the rest of the page is worth seeing without it
			told, ok := errors.AsType[*Error](err)
			if !ok {
				return err
			}
			p.Unknown = told.Sentence
		}
	}
	p.Clusters, p.Proposals, p.Problem = clusters.Items, proposals.Items, proposals.Problem
	return v.render(w, "tenant", "Tenant "+v.who.Tenant, p)
}

// syncAll has all of the tenant's values read again.
func (v *visit) syncAll(w http.ResponseWriter) error {
	if _, err := v.do(Call{Method: http.MethodPost, Path: "/sync", Body: object{"all": true}.json()}, nil); err != nil {
		return err
	}
	seeOther(w, v.r, "/console/tenant?done=synced")
	return nil
}

// release lets the deletions go on that are held, if they still are those that were
// looked at.
func (v *visit) release(w http.ResponseWriter) error {
	_, err := v.do(Call{Method: http.MethodPost, Path: "/deletions/" + url.PathEscape(v.r.PostForm.Get("id")) + ":release"}, nil)
	if told, ok := errors.AsType[*Error](err); ok && told.Status != http.StatusForbidden {
		v.status = told.Status
		return v.tenant(w, tenantPage{Refused: told.Sentence})
	}
	if err != nil {
		return err
	}
	seeOther(w, v.r, "/console/tenant?done=released")
	return nil
}

type keysPage struct {
	Keys    []apiKey
	Made    *apiKey // with the key itself, this once
	Problem string
	Name    string // as it was asked for
	Until   string
	Role    string
}

func (v *visit) showKeys(w http.ResponseWriter) error { return v.keys(w, keysPage{}) }

func (v *visit) keys(w http.ResponseWriter, p keysPage) error {
	var list struct{ Items []apiKey }
	if err := v.get("/apikeys", &list); err != nil {
		return err
	}
	p.Keys = list.Items
	return v.render(w, "keys", "API keys", p)
}

func (v *visit) makeKey(w http.ResponseWriter) error {
	p := keysPage{Name: v.r.PostForm.Get("displayName"), Role: v.r.PostForm.Get("role"), Until: v.r.PostForm.Get("until")}
	body := object{"displayName": p.Name, "role": p.Role}
	if p.Until != "" {
		day, err := time.Parse(time.DateOnly, p.Until)
		if err != nil {
			p.Problem, v.status = "the day on which it ends is none", http.StatusUnprocessableEntity
			return v.keys(w, p)
		}
		body["expiresAt"] = day.AddDate(0, 0, 1).Format(time.RFC3339) // the end of that day
	}
	var made apiKey
	_, err := v.do(Call{Method: http.MethodPost, Path: "/apikeys", Body: body.json()}, &made)
	switch {
	case isStatus(err, http.StatusBadRequest), isStatus(err, http.StatusConflict), isStatus(err, http.StatusServiceUnavailable):
		p.Problem = err.Error()
		if told, ok := errors.AsType[*Error](err); ok {
			v.status = told.Status
		}
		return v.keys(w, p)
	case err != nil:
		return err
	}
	return v.keys(w, keysPage{Made: &made})
}

func (v *visit) revokeKey(w http.ResponseWriter) error {
	_, err := v.do(Call{Method: http.MethodDelete, Path: "/apikeys/" + url.PathEscape(v.r.PostForm.Get("id"))}, nil)
	if told, ok := errors.AsType[*Error](err); ok && told.Status != http.StatusForbidden {
		v.status = told.Status
		return v.keys(w, keysPage{Problem: told.Sentence})
	}
	if err != nil {
		return err
	}
	seeOther(w, v.r, "/console/keys") // if it was one's own, to the sign-in
	return nil
}

type orphansPage struct {
	Orphans []orphan
	Problem string
}

func (v *visit) showOrphans(w http.ResponseWriter) error { return v.orphans(w, "") }

func (v *visit) orphans(w http.ResponseWriter, problem string) error {
	p := orphansPage{Problem: problem}
	var list struct{ Items []orphan }
	err := v.get("/orphans", &list)
	switch {
	case isStatus(err, http.StatusServiceUnavailable):
		p.Problem = err.Error()
	case err != nil:
		return err
	}
	p.Orphans = list.Items
	return v.render(w, "orphans", "Orphans", p)
}

func (v *visit) deleteOrphan(w http.ResponseWriter) error {
	form := v.r.PostForm
	path := "/orphans/" + url.PathEscape(form.Get("cluster")) + "/" + url.PathEscape(form.Get("namespace")) + "/" + url.PathEscape(form.Get("secretName"))
	if name := form.Get("definition"); name != "" {
		path += "?definition=" + url.QueryEscape(name)
	}
	_, err := v.do(Call{Method: http.MethodDelete, Path: path}, nil)
	if told, ok := errors.AsType[*Error](err); ok && told.Status != http.StatusForbidden {
		v.status = told.Status
		return v.orphans(w, told.Sentence)
	}
	if err != nil {
		return err
	}
	seeOther(w, v.r, "/console/orphans")
	return nil
}
