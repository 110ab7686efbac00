package compose

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	"secretsync/gitstore/definition"
)

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

// execute makes the text of a template. Its error names the place in the template
// and what is wrong there, in words that hold nothing of the value.
func execute(text string, value map[string][]byte) ([]byte, error) {
	e := engines.Get().(*engine)
	e.budget = budget{left: mostWork}
	t, err := e.base.New("").Parse(text)
	if err == nil && len(t.Templates()) > 1 {
		// The engine would know them for good: it is not used again.
		return nil, errors.New("it defines further templates, which is not allowed")
	}
	defer engines.Put(e)
	if err != nil {
		return nil, errors.New("it is not well-formed")
	}
	if t.Tree == nil {
		return nil, nil // it is empty
	}
	countLoops(t.Root)
	dot := make(map[string]any, len(value))
	for key, content := range value {
		dot[key] = string(content)
	}
	out := &output{budget: &e.budget}
	if err := t.Execute(out, dot); err != nil {
		return nil, inWords(err)
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

// tick is the action that is put at the beginning of each loop's body: a loop need
// neither write nor call anything, and a number is all it needs to go on for years.
var tick = func() parse.Node {
	t := template.Must(template.New("").Funcs(template.FuncMap{tickName: func() string { return "" }}).Parse("{{" + tickName + "}}"))
	return t.Root.Nodes[0]
}()

const tickName = "tick"

// countLoops has each round of each loop counted.
func countLoops(n parse.Node) {
	branch := func(list, other *parse.ListNode) {
		countLoops(list)
		if other != nil {
			countLoops(other)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, inner := range n.Nodes {
			countLoops(inner)
		}
	case *parse.IfNode:
		branch(n.List, n.ElseList)
	case *parse.WithNode:
		branch(n.List, n.ElseList)
	case *parse.RangeNode:
		branch(n.List, n.ElseList)
		n.List.Nodes = append([]parse.Node{tick.Copy()}, n.List.Nodes...)
	}
}

var (
	// place is how text/template says where it was: line, column (which counts from
	// 0) and the text of the action.
	place    = regexp.MustCompile(`^template: :(\d+):(\d+): executing "" at <(.*?)>: `)
	noEntry  = regexp.MustCompile(`map has no entry for key ("(?:[^"\\]|\\.)*")`)
	calling  = regexp.MustCompile(`error calling (\w+): `)
	nilField = regexp.MustCompile(`nil (?:data|pointer)|can't evaluate field (\w+)`)
)

// inWords makes of an error of text/template one that holds nothing of a value: the
// library's text may quote what a function was given.
func inWords(err error) error {
	where := ""
	if m := place.FindStringSubmatch(err.Error()); m != nil {
		where = fmt.Sprintf("line %s, at %s: ", m[1], definition.Quote(m[3]))
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
