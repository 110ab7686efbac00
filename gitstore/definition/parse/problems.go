package parse

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
)

// parser reads one file and collects what is wrong with it.
type parser struct {
	path     string
	json     bool // it is no file, but what a JSON object holds
	unjoined bool // what fields have to keep jointly is not checked
	src      yamltext.Source
	problems definition.FileErrors
	more     int // problems beyond maxProblems, which are only counted
}

const (
	// maxProblems bounds what is reported of one file: 64 KiB hold thousands of
	// mistakes, and the first few serve a person better than all of them.
	maxProblems = 20

	causeOfFault = "can't be read; this is a fault of the program, which should be reported with the file"
)

func (p *parser) failAt(line int, format string, args ...any) {
	p.failIn(line, 0, format, args...)
}

func (p *parser) failIn(line, column int, format string, args ...any) {
	if last := max(len(p.src.Lines), 1); line > last { // see yamltext.Source.Offset
		line, column = last, 0
	}
	if len(p.problems) == maxProblems {
		p.more++
		return
	}
	p.problems = append(p.problems, &definition.FileError{Path: p.path, Line: line, Column: column, Cause: fmt.Sprintf(format, args...)})
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.failIn(n.Line, n.Column, format, args...)
}

// failed returns how many problems were found.
func (p *parser) failed() int { return len(p.problems) + p.more }

// err returns the problems by line, or nil.
func (p *parser) err() error {
	if len(p.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(p.problems, func(a, b *definition.FileError) int { return cmp.Compare(a.Line, b.Line) })
	if p.more > 0 {
		return append(slices.Clip(p.problems), &definition.FileError{Path: p.path, Cause: fmt.Sprintf("%d more mistakes are not listed; mend those above first", p.more)})
	}
	return p.problems
}

// checkCharacters refuses what can't be seen in an editor and what YAML
// readers disagree about: such a file looks like one thing and is another. It
// reports whether there is nothing of the kind.
func (p *parser) checkCharacters() bool {
	for _, mark := range []string{"\uFEFF", "\xFF\xFE", "\xFE\xFF"} {
		if bytes.HasPrefix(p.src.Text, []byte(mark)) {
			p.failAt(1, "the file begins with a byte order mark; save it as plain UTF-8")
			return false
		}
	}
	clean := true
	for number := 1; number <= len(p.src.Lines); number++ {
		if cause := yamltext.CheckLine(p.src.Line(number)); cause != "" {
			p.failAt(number, "%s", cause)
			clean = false
		}
	}
	return clean
}

// reason returns a parse error's text without the name of the field, which
// the caller knows better.
func reason(err error) string {
	var field *definition.FieldError
	if errors.As(err, &field) {
		return field.Reason
	}
	return err.Error()
}
