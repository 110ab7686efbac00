package compose

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"text/template"

	"secretsync/gitstore/definition"
)

// running are the templates that run now. More of them than processors would make none
// end earlier, and each may hold a hundred times the memory of a Secret while it runs.
var running = make(chan struct{}, runtime.GOMAXPROCS(0))

// engine runs one template at a time.
type engine struct {
	budget budget
	base   *template.Template // has the functions, each of which counts against budget
}

// engines are used again: to make the functions, and to make them known to a
// template, takes longer than most templates.
var engines = sync.Pool{New: func() any {
	e := &engine{}
	e.base = template.New("").Option("missingkey=error").Funcs(functions(&e.budget))
	return e
}}

// execute makes the text of a template, and takes what it costs out of the work that is
// left. Its error names the place in the template and what is wrong there, in words that
// hold nothing of the value.
func execute(text string, value map[string][]byte, left *int) ([]byte, error) {
	running <- struct{}{}
	defer func() { <-running }()
	e := engines.Get().(*engine)
	e.budget = budget{*left}
	again := true // the engine is used
	defer func() {
		*left = e.budget.left
		if again {
			engines.Put(e) // from here on it may be another's
		}
	}()
	t, err := e.base.New("").Parse(text)
	if err == nil && len(t.Templates()) > 1 {
		again = false // it would know them for good
		return nil, errors.New("it defines further templates, which is not allowed")
	}
	if err != nil {
		return nil, errors.New("it is not well-formed")
	}
	if t.Tree == nil {
		return nil, nil // it is empty
	}
	told := guard(t.Tree)
	dot := make(map[string]any, len(value))
	for key, content := range value {
		dot[key] = string(content)
	}
	out := &output{budget: &e.budget}
	if err := t.Execute(out, dot); err != nil {
		return nil, told.inWords(err)
	}
	return out.Bytes(), nil
}

// output collects what a template writes, up to the size of a Secret.
type output struct {
	bytes.Buffer
	budget *budget
}

func (o *output) Write(p []byte) (int, error) {
	if o.Len()+len(p) > MaxSize {
		return 0, &exceeded{fmt.Sprintf("its text is over %d bytes", MaxSize)}
	}
	if err := o.budget.take(len(p)); err != nil {
		return 0, err
	}
	return o.Buffer.Write(p)
}

// errNothing is that of a value which is to be written and is none.
var errNothing = &exceeded{"there is nothing to write: the value has null there, or no such key; give it a default"}

var (
	// place is how text/template says where it was: line, column (which counts from
	// 0) and the text of the action.
	place    = regexp.MustCompile(`^template: (:(\d+):\d+): executing "" at <(.*?)>: `)
	noEntry  = regexp.MustCompile(`map has no entry for key ("(?:[^"\\]|\\.)*")`)
	calling  = regexp.MustCompile(`error calling (\w+): `)
	nilField = regexp.MustCompile(`nil (?:data|pointer)|can't evaluate field (\w+)`)
)

// inWords makes of an error of text/template one that holds nothing of a value: the
// library's text may quote what a function was given.
func (t told) inWords(err error) error {
	where := ""
	if m := place.FindStringSubmatch(err.Error()); m != nil {
		action, changed := t[m[1]]
		if !changed {
			action = m[3]
		}
		where = fmt.Sprintf("line %s, at %s: ", m[2], definition.Quote(action))
	}
	var e *exceeded
	switch text := err.Error(); {
	case errors.As(err, &e):
		return errors.New(where + e.what)
	case noEntry.MatchString(text):
		return errors.New(where + "the value has no key " + noEntry.FindStringSubmatch(text)[1])
	case calling.MatchString(text):
		return errors.New(where + "function " + calling.FindStringSubmatch(text)[1] + " can't use what it is given")
	case nilField.MatchString(text):
		return errors.New(where + "a text has no fields; take a JSON text apart with fromJson")
	case strings.Contains(text, "wrong type") || strings.Contains(text, "expected"):
		return errors.New(where + "something is of another type than is expected there")
	}
	return errors.New(where + "it can't be executed")
}
