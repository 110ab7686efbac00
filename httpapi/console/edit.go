package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/httpapi/console/lines"
)

// editPage is a definition's text with what there is to say about it.
type editPage struct {
	Name     string // empty: of one that is to be made
	Text     string
	Match    string // the revision it was read at
	Propose  bool   // whether it can be proposed
	Proposes bool   // whether it is to be
	Problem  string // why it was not taken
	Hint     bool   // it might be taken as a proposal
	Checked  *checked
	Plan     *plan
	Race     *race
	Clusters []cluster
	Fields   []field // that can be written
}

// race is what somebody else did while a text was written.
type race struct {
	Last         *commit
	Theirs, Mine []lines.Line
	Clean        bool
}

// object is the body of a call.
type object map[string]any

func (o object) json() []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // of strings and what was JSON
	}
	return b
}

// newText is what a definition begins with.
const newText = `name: my-secret
secretPath: path/in/the/vault
sync:
  - cluster: CLUSTER
    namespace: default
`

func (v *visit) askForNew(w http.ResponseWriter) error {
	p := editPage{Text: newText, Propose: v.canPropose()}
	if clusters := v.clusters(); len(clusters) > 0 {
		p.Text = strings.Replace(p.Text, "CLUSTER", clusters[0].Name, 1)
	}
	return v.renderEdit(w, p)
}

func (v *visit) renderEdit(w http.ResponseWriter, p editPage) error {
	p.Clusters, p.Fields = v.clusters(), v.c.fields
	title := "New definition"
	if p.Name != "" {
		title = "Edit " + p.Name
	}
	return v.render(w, "edit", title, p)
}

// clusters are those there are; none if that can't be told now, as they are a help
// and no more.
func (v *visit) clusters() []cluster {
	var list struct{ Items []cluster }
	if v.get("/clusters", &list) != nil {
		return nil
	}
	return list.Items
}

func (v *visit) askForEdit(w http.ResponseWriter) error {
	name, err := v.name()
	if err != nil {
		return err
	}
	var s secret
	var f file
	// The revision first: if it changes before the text is read, saving says so.
	if err := v.get(secretPath(name), &s); err != nil {
		return err
	}
	if err := v.get(secretPath(name)+"/file", &f); err != nil {
		return err
	}
	p := editPage{Name: name, Text: f.Content, Match: s.ResourceVersion, Propose: v.canPropose()}
	p.Checked = checkText(name, f.Content)
	return v.renderEdit(w, p)
}

// formText is the text in a form, with the line breaks that files have.
func (v *visit) formText() string {
	text := strings.ReplaceAll(v.r.PostForm.Get("text"), "\r\n", "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// check says what is wrong with a text, while it is written.
func (v *visit) check(w http.ResponseWriter) error {
	name, text := v.r.PostForm.Get("name"), v.formText()
	if name == "" {
		name = nameIn(text)
	}
	return v.c.fragment(w, "edit", "checked", checkText(name, text))
}

func (v *visit) edit(w http.ResponseWriter) error {
	name, err := v.name()
	if err != nil {
		return err
	}
	p := editPage{Name: name, Text: v.formText(), Match: v.r.PostForm.Get("match"), Propose: v.canPropose(), Proposes: v.r.PostForm.Get("propose") != ""}
	if p.Checked = checkText(name, p.Text); len(p.Checked.Problems) > 0 {
		v.status = http.StatusUnprocessableEntity
		return v.renderEdit(w, p)
	}
	if v.r.PostForm.Get("do") == "preview" {
		return v.preview(w, p, name)
	}
	var base file
	if err := v.get(secretPath(name)+"/file?at="+url.QueryEscape(p.Match), &base); err != nil {
		return v.refused(w, p, err)
	}
	body, problem := bodyOfEdit(base.Content, p.Text)
	if problem != "" {
		p.Problem, v.status = problem, http.StatusUnprocessableEntity
		return v.renderEdit(w, p)
	}
	a, err := v.write(Call{Method: http.MethodPatch, Path: secretPath(name), Body: body})
	switch {
	case isStatus(err, http.StatusPreconditionFailed):
		if err := v.lost(&p, base.Content); err != nil {
			return err
		}
		v.status = http.StatusPreconditionFailed
		return v.renderEdit(w, p)
	case isStatus(err, http.StatusNotFound):
		v.status = http.StatusNotFound
		p.Problem = "Somebody deleted this definition while you wrote. Your text is below: copy it, and make a new definition of it if it is still wanted."
		return v.renderEdit(w, p)
	case err != nil:
		return v.refused(w, p, err)
	case a.Status == http.StatusAccepted:
		return v.proposed(w, a)
	}
	seeOther(w, v.r, definitionLink(name)+"?done=saved")
	return nil
}

// refused shows why a text was not taken, with the text as it is: nobody writes it twice.
func (v *visit) refused(w http.ResponseWriter, p editPage, err error) error {
	told, ok := errors.AsType[*Error](err)
	if !ok || told.Status == http.StatusForbidden {
		return err
	}
	p.Problem, v.status = told.Sentence, told.Status
	p.Hint = told.Status == http.StatusConflict && p.Propose && !p.Proposes
	return v.renderEdit(w, p)
}

// lost fills a page in for who was not the first.
func (v *visit) lost(p *editPage, base string) error {
	var s secret
	var now file
	if err := v.get(secretPath(p.Name), &s); err != nil {
		return err
	}
	if err := v.get(secretPath(p.Name)+"/file", &now); err != nil {
		return err
	}
	merged, clean := lines.Merge(base, p.Text, now.Content)
	p.Race = &race{Last: v.lastCommit(&s), Theirs: lines.Difference(base, now.Content), Mine: lines.Difference(base, p.Text), Clean: clean}
	p.Checked = checkText(p.Name, merged)
	if len(p.Checked.Problems) > 0 {
		p.Race.Clean = false
	}
	p.Text, p.Match = merged, s.ResourceVersion
	return nil
}

// preview shows what a text would do.
func (v *visit) preview(w http.ResponseWriter, p editPage, name string) error {
	var would plan
	body := object{"partial": true, "files": object{definition.PathOfFile(name + definition.FileSuffix): p.Text}}
	if _, err := v.do(Call{Method: http.MethodPost, Path: "/plan", Body: body.json()}, &would); err != nil {
		return v.refused(w, p, err)
	}
	would.Problems = slices.DeleteFunc(would.Problems, func(problem planProblem) bool { return problem.Known })
	p.Plan = &would
	return v.renderEdit(w, p)
}

func (v *visit) create(w http.ResponseWriter) error {
	p := editPage{Text: v.formText(), Propose: v.canPropose(), Proposes: v.r.PostForm.Get("propose") != ""}
	name := nameIn(p.Text)
	if p.Checked = checkText(name, p.Text); len(p.Checked.Problems) > 0 {
		v.status = http.StatusUnprocessableEntity
		return v.renderEdit(w, p)
	}
	if v.r.PostForm.Get("do") == "preview" {
		return v.preview(w, p, name)
	}
	f, err := fields(p.Text)
	if err != nil {
		return err
	}
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	a, err := v.write(Call{Method: http.MethodPost, Path: "/secrets", Body: body})
	switch {
	case err != nil:
		return v.refused(w, p, err)
	case a.Status == http.StatusAccepted:
		return v.proposed(w, a)
	}
	seeOther(w, v.r, definitionLink(name)+"?done=created")
	return nil
}

// write makes a call that writes: on the condition that the form carries, and as a
// proposal if it says so.
func (v *visit) write(call Call) (Answer, error) {
	if match := v.r.PostForm.Get("match"); match != "" {
		call.Match = `"` + match + `"`
	}
	if v.r.PostForm.Get("propose") != "" {
		call.Path += "?propose=true"
	}
	return v.do(call, nil)
}

// canPropose reports whether the tenant's repository is one where a proposal makes
// sense: one that is elsewhere. Whether the forge takes it, it says itself.
func (v *visit) canPropose() bool {
	var t tenant
	return v.get("", &t) == nil && t.Repository != nil
}

// proposed shows the pull request that a write became.
func (v *visit) proposed(w http.ResponseWriter, a Answer) error {
	var p struct{ Proposal proposal }
	if err := json.Unmarshal(a.Body, &p); err != nil {
		return err
	}
	return v.render(w, "proposed", "Proposed", p.Proposal)
}
