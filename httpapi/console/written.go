package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
)

// checked is what is to be said of a text.
type checked struct {
	Problems []textProblem
	Note     string
}

type textProblem struct {
	Line  int // 0: of the text as a whole
	Cause string
}

var nameLine = regexp.MustCompile(`(?m)^name:[ \t]*["']?([^"'#\s]*)`)

// nameIn finds the name that a text gives itself: its file is named so.
func nameIn(text string) string {
	if found := nameLine.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// checkText parses a text as the server will.
func checkText(name, text string) *checked {
	parsed, err := definition.ParseName(name)
	if err != nil {
		reason := err.Error()
		if field, ok := errors.AsType[*definition.FieldError](err); ok {
			reason = "name " + field.Reason
		}
		return &checked{Problems: []textProblem{{Line: 1, Cause: reason}}}
	}
	_, err = parse.File(definition.PathOfFile(parsed.String()+definition.FileSuffix), []byte(text))
	var c checked
	if all, ok := errors.AsType[definition.FileErrors](err); ok {
		for _, e := range all {
			c.Problems = append(c.Problems, textProblem{e.Line, e.Cause})
		}
	} else if e, ok := errors.AsType[*definition.FileError](err); ok {
		c.Problems = append(c.Problems, textProblem{e.Line, e.Cause})
	} else if err != nil {
		c.Problems = append(c.Problems, textProblem{0, err.Error()})
	}
	return &c
}

// fields are those of a valid text, as the contract takes them.
func fields(text string) (map[string]json.RawMessage, error) {
	j, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	var f map[string]json.RawMessage
	err = json.Unmarshal(j, &f)
	return f, err
}

// changes is the body of the PATCH that makes the definition of one text that of
// another: every field that differs, and null for one that is gone.
func changes(from, to map[string]json.RawMessage) (body object, fixed []string) {
	body = object{}
	for _, key := range []string{"name", "secretPath"} {
		if !bytes.Equal(from[key], to[key]) {
			fixed = append(fixed, key)
		}
	}
	for key, value := range to {
		if key != "name" && key != "secretPath" && !bytes.Equal(from[key], value) {
			body[key] = value
		}
	}
	for key := range from {
		if _, stays := to[key]; !stays && key != "name" && key != "secretPath" {
			body[key] = nil
		}
	}
	return body, fixed
}

// bodyOfEdit is what is sent of a changed text, or why nothing is.
func bodyOfEdit(base, text string) (body []byte, problem string) {
	to, err := fields(text)
	if err != nil {
		return nil, err.Error()
	}
	from, err := fields(base)
	if err != nil {
		from = map[string]json.RawMessage{"name": to["name"], "secretPath": to["secretPath"]}
	}
	o, fixed := changes(from, to)
	switch {
	case len(fixed) > 0:
		return nil, strings.Join(fixed, " and ") + " can't be changed after a definition was made: make a new one, and delete this one"
	case len(o) == 0 && base == text:
		return nil, "Nothing was changed."
	case len(o) == 0:
		return nil, "Only comments or the layout differ, and those are changed in Git: nothing that is synced would be another."
	}
	if _, ok := o["sync"]; !ok {
		if o["sync"] = to["sync"]; to["sync"] == nil {
			o["sync"] = []any{}
		}
	}
	return o.json(), ""
}
