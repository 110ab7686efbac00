package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"secretsync/gitstore/definition"
	"secretsync/httpapi/console/lines"
	"secretsync/reconcile/fault"
)

type definitionPage struct {
	*secret
	Row     row
	Done    string // what a form did just now; one of a few words
	Reasons []*fault.Explanation
	Moments []moment // how it stood, the newest first
	File    file
	Lines   []lines.NumberedLine
	History []change
	Older   string // link to the page of history after this one
}

// change is a commit with what it did to the definition's file.
type change struct {
	commit
	Diff   []lines.Line
	Newest bool
	Note   string
}

// name is the definition that the path names, in a form that can be asked for.
func (v *visit) name() (string, error) {
	name, err := definition.ParseName(v.r.PathValue("name"))
	if err != nil {
		return "", &Error{Status: http.StatusNotFound, Sentence: "there is no such definition"}
	}
	return name.String(), nil
}

// waitTime is how long a page is held back for somebody who waits: less than proxies
// have patience for.
const waitTime = "20s"

func (v *visit) showDefinition(w http.ResponseWriter) error {
	name, err := v.name()
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	p := definitionPage{secret: &secret{}, Done: query.Get("done")}
	from := secretPath(name)
	if query.Has("wait") {
		from += "?wait=Active&timeout=" + waitTime
	}
	if err := v.get(from, p.secret); err != nil {
		return err
	}
	if query.Has("wait") {
		p.Done = "waited"
	}
	p.Row = v.row(p.secret)
	for _, t := range p.Status.SyncStatuses {
		p.explain(t.Reason)
	}
	for _, c := range p.Status.Conditions {
		p.explain(c.Reason)
	}
	var timeline struct{ Items []moment }
	if err := v.get(secretPath(name)+"/timeline", &timeline); err != nil {
		return err
	}
	p.Moments = timeline.Items
	if err := v.get(secretPath(name)+"/file", &p.File); err != nil && !isStatus(err, http.StatusBadRequest) {
		return err
	}
	p.Lines = lines.Numbered(p.File.Content)
	if p.History, p.Older, err = v.history(name, query.Get("cursor")); err != nil {
		return err
	}
	return v.render(w, "definition", name, p)
}

// explain has the page explain a reason, once.
func (p *definitionPage) explain(reason string) {
	e := explain(reason)
	if e == nil || e.State == fault.Synced || slices.ContainsFunc(p.Reasons, func(o *fault.Explanation) bool { return o.Reason == e.Reason }) {
		return
	}
	p.Reasons = append(p.Reasons, e)
}

// changesOfPage is how many changes are shown with their differences on one page.
const changesOfPage = "10"

func (v *visit) history(name, cursor string) (changes []change, older string, err error) {
	at := secretPath(name) + "/history?limit=" + changesOfPage
	if cursor != "" {
		at += "&cursor=" + url.QueryEscape(cursor)
	}
	var h history
	if err := v.get(at, &h); err != nil {
		return nil, "", err
	}
	texts := map[string]string{}
	// The commit before the last one shown is on the next page.
	items := h.Items
	if h.Next != "" {
		var more history
		if err := v.get(secretPath(name)+"/history?limit=1&cursor="+url.QueryEscape(h.Next), &more); err == nil {
			items = append(slices.Clone(items), more.Items...)
		}
		older = definitionLink(name) + "?cursor=" + url.QueryEscape(h.Next) + "#history"
	}
	for i, c := range h.Items {
		one := change{commit: c, Newest: cursor == "" && i == 0}
		before := ""
		if i+1 < len(items) {
			before = items[i+1].SHA
		}
		old, errOld := v.textAt(texts, name, before)
		now, errNow := v.textAt(texts, name, c.SHA)
		switch err := errors.Join(errOld, errNow); {
		case errors.Is(err, errSessionOver):
			return nil, "", err
		case err != nil:
			one.Note = "What it changed can't be shown: the file is no text here."
		case old == "" && now == "":
			one.Note = "It left nothing of the file."
		default:
			if one.Diff = lines.Difference(old, now); len(one.Diff) == 0 {
				one.Note = "It left the text as it was."
			}
		}
		changes = append(changes, one)
	}
	return changes, older, nil
}

// textAt is a definition's text at a commit; none where it is not there.
func (v *visit) textAt(known map[string]string, name, sha string) (string, error) {
	if sha == "" {
		return "", nil
	}
	if text, ok := known[sha]; ok {
		return text, nil
	}
	var f file
	if err := v.get(secretPath(name)+"/file?at="+url.QueryEscape(sha), &f); err != nil && !isStatus(err, http.StatusNotFound) {
		return "", err
	}
	known[sha] = f.Content
	return f.Content, nil
}

func definitionLink(name string) string { return "/console/d/" + name }

func (v *visit) syncNow(w http.ResponseWriter) error {
	name, err := v.name()
	if err != nil {
		return err
	}
	if _, err := v.do(Call{Method: http.MethodPost, Path: secretPath(name) + "/sync"}, nil); err != nil {
		return err
	}
	seeOther(w, v.r, definitionLink(name)+"?done=synced")
	return nil
}

// confirmPage asks before something is done that is not undone by looking away.
type confirmPage struct {
	*secret
	Commit  commit
	Diff    []lines.Line
	Propose bool // it can be proposed
	Problem string
}

func (v *visit) askForDelete(w http.ResponseWriter) error { return v.confirmDelete(w, "") }

func (v *visit) confirmDelete(w http.ResponseWriter, problem string) error {
	name, err := v.name()
	if err != nil {
		return err
	}
	p := confirmPage{secret: &secret{}, Problem: problem, Propose: v.canPropose()}
	if err := v.get(secretPath(name), p.secret); err != nil {
		return err
	}
	return v.render(w, "delete", "Delete "+name, p)
}

func (v *visit) deleteDefinition(w http.ResponseWriter) error {
	name, err := v.name()
	if err != nil {
		return err
	}
	a, err := v.write(Call{Method: http.MethodDelete, Path: secretPath(name)})
	switch {
	case isStatus(err, http.StatusPreconditionFailed):
		v.status = http.StatusPreconditionFailed
		return v.confirmDelete(w, "Somebody changed this definition while you looked at it. This is how it stands now; confirm again if it is still to go.")
	case isStatus(err, http.StatusConflict):
		v.status = http.StatusConflict
		return v.confirmDelete(w, err.Error())
	case err != nil:
		return err
	case a.Status == http.StatusAccepted:
		return v.proposed(w, a)
	}
	seeOther(w, v.r, home+"?done=deleted")
	return nil
}

func (v *visit) askForRevert(w http.ResponseWriter) error {
	return v.confirmRevert(w, v.r.URL.Query().Get("commit"), "")
}

func (v *visit) confirmRevert(w http.ResponseWriter, sha, problem string) error {
	name, err := v.name()
	if err != nil {
		return err
	}
	p := confirmPage{secret: &secret{}, Problem: problem, Propose: v.canPropose()}
	if err := v.get(secretPath(name), p.secret); err != nil {
		return err
	}
	for cursor := ""; ; {
		changes, older, err := v.history(name, cursor)
		if err != nil {
			return err
		}
		for _, c := range changes {
			if c.SHA == sha {
				p.Commit, p.Diff = c.commit, c.Diff
				return v.render(w, "revert", "Undo a change of "+name, p)
			}
		}
		if older == "" || len(changes) == 0 {
			return &Error{Status: http.StatusNotFound, Sentence: "that commit is none that changed this definition"}
		}
		cursor = changes[len(changes)-1].SHA
	}
}

func (v *visit) revert(w http.ResponseWriter) error {
	name, err := v.name()
	if err != nil {
		return err
	}
	sha := v.r.PostForm.Get("commit")
	a, err := v.write(Call{Method: http.MethodPost, Path: secretPath(name) + "/revert", Body: object{"commit": sha}.json()})
	switch {
	case isStatus(err, http.StatusPreconditionFailed):
		v.status = http.StatusPreconditionFailed
		return v.confirmRevert(w, sha, "Somebody changed this definition while you looked at it. Look again, and confirm if the change is still to be undone.")
	case isStatus(err, http.StatusConflict), isStatus(err, http.StatusBadRequest):
		v.status = http.StatusConflict
		return v.confirmRevert(w, sha, err.Error())
	case err != nil:
		return err
	case a.Status == http.StatusAccepted:
		return v.proposed(w, a)
	case a.Status == http.StatusNoContent:
		seeOther(w, v.r, home+"?done=deleted")
		return nil
	}
	seeOther(w, v.r, definitionLink(name)+"?done=reverted")
	return nil
}
