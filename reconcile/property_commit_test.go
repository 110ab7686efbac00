package reconcile

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/edit"
	"secretsync/gitstore/definition/parse"
	"secretsync/gitstore/operation"
)

// commit makes of a definition what s says, or removes it where s is nil: by hand, or
// as a change if that is given.
func (p *property) commit(name string, s *spec, change *definition.Change) {
	p.t.Helper()
	before, text := p.should.definition[name], ""
	path := "secrets/" + name + ".yaml"
	switch {
	case s == nil:
		p.did = "the removal of " + name
	case change != nil:
		edited, err := edit.File([]byte(p.files[name]), *change)
		if err != nil {
			p.fail(fmt.Sprintf("%s can't be edited to say %v: %v", name, change.Fields, err))
		}
		text = string(edited)
		p.did = fmt.Sprintf("a PATCH of %s that names %v", name, change.Fields)
		p.unchanged(p.files[name], text, change.Fields)
	default:
		text = p.written(s)
		p.did = "a push of " + name
	}
	if s != nil {
		if _, err := parse.File(path, []byte(text)); err != nil {
			if strings.Contains(err.Error(), "same target") {
				p.did = ""
				return // a list that names one place twice
			}
			p.fail(fmt.Sprintf("%v in\n%s", err, text))
		}
		if text == p.files[name] {
			p.did = ""
			return
		}
	}
	foretold := p.plan(name, text)
	stood := p.secrets()
	switch {
	case s == nil && p.oneIn(2):
		p.world.remove(name)
	case s == nil:
		p.push(map[string]*string{path: nil})
	case change != nil:
		_, err := p.repo.Apply(p.ctx, p.by(), operation.Lenient, operation.PatchOf(p.parse(name), operation.Unconditional(), *change))
		p.must(err)
		if f, err := p.repo.File(p.ctx, p.parse(name), p.repo.Snapshot().Head().String()); err != nil || string(f.Text) != text {
			p.fail(fmt.Sprintf("%v, the store made\n%s\nof %s, and the editor\n%s", err, f.Text, name, text))
		}
	default:
		p.push(map[string]*string{path: &text})
	}
	if s == nil {
		delete(p.should.definition, name)
		delete(p.files, name)
		p.should.removed[name] = before
	} else {
		p.should.definition[name], p.files[name] = s, text
	}
	p.commits++
	p.want = p.should.settle()
	p.converge()
	p.foresaw(foretold, stood)
}

// patched changes some fields of a definition.
func (p *property) patched(name string) {
	p.t.Helper()
	was, other := p.should.definition[name], p.anySpec(name)
	now := *was
	object := make(map[string]any)
	given := other.fields()
	for _, field := range definition.Fields {
		if field == "type" && was.mode == "Merge" || !p.oneIn(4) {
			continue
		}
		object[field] = given[field] // nil takes it away
		switch field {
		case "type":
			now.kind = other.kind
		case "mode":
			now.mode = other.mode
		case "data":
			now.data = other.data
		case "labels":
			now.labels = other.labels
		case "annotations":
			now.annotations = other.annotations
		case "deletionPolicy":
			now.policy = other.policy
		case "suspend":
			now.suspend = other.suspend
		case "refreshInterval":
			now.interval = other.interval
		case "sync":
			now.sync = other.sync
		}
	}
	text, err := json.Marshal(object)
	p.must(err)
	var body map[string]any
	p.must(json.Unmarshal(text, &body))
	change, err := parse.Object(body)
	if err != nil && strings.Contains(err.Error(), "same target") {
		return
	}
	if err != nil {
		p.fail(fmt.Sprintf("%v in %s", err, text))
	}
	e, found := p.repo.Snapshot().Get(p.parse(name))
	if !found {
		p.fail(name + " is not at HEAD")
	}
	if _, err := change.Apply(e.Definition); err != nil || len(object) == 0 {
		return // a list that names one place twice
	}
	p.commit(name, &now, &change)
}

var topLevel = regexp.MustCompile(`(?m)^[A-Za-z]+:`)

// unchanged compares the fields that a change did not name, and the remarks above them.
func (p *property) unchanged(before, after string, fields []string) {
	p.t.Helper()
	parts := func(text string) map[string]string {
		m := make(map[string]string)
		begins := topLevel.FindAllStringIndex(text, -1)
		for i, at := range begins {
			end := len(text)
			if i+1 < len(begins) {
				end = begins[i+1][0]
			}
			lines := strings.SplitAfter(text[at[0]:end], "\n")
			for len(lines) > 1 && (lines[len(lines)-1] == "" || strings.HasPrefix(lines[len(lines)-1], "#")) {
				lines = lines[:len(lines)-1]
			}
			m[text[at[0]:at[1]-1]] = strings.Join(lines, "")
		}
		return m
	}
	was, is := parts(before), parts(after)
	for field, text := range was {
		if !slices.Contains(fields, field) && strings.TrimSuffix(is[field], "\n") != strings.TrimSuffix(text, "\n") {
			p.fail(fmt.Sprintf("a change of %v made of\n%s\nthis:\n%s", fields, before, after))
		}
	}
	for line := range strings.Lines(before) {
		if strings.HasPrefix(line, "# above ") && !slices.Contains(fields, strings.TrimSpace(strings.TrimPrefix(line, "# above "))) && !strings.Contains(after, strings.TrimSpace(line)) {
			p.fail(fmt.Sprintf("a change of %v lost %q of\n%s\nas\n%s", fields, line, before, after))
		}
	}
}
