package plan

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// marks are how a step begins as text.
var marks = map[Action]string{Create: "+", Update: "~", Move: ">", Resume: "=", Stop: "-", Delete: "x", Unchanged: " "}

// WriteText writes the plan for a terminal.
func (p *Plan) WriteText(out io.Writer) error {
	var b strings.Builder
	for i := range p.Problems {
		q := &p.Problems[i]
		word := string(q.Level)
		if q.Known {
			word += " (as before)"
		}
		fmt.Fprintf(&b, "! %s: %s\n", word, Line(q.String()))
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		fmt.Fprintf(&b, "%s %-9s %s from %s (definition %s)", marks[s.Action], s.Action, Line(s.Place()), Line(s.Path), Line(s.Definition))
		if details := s.details(); details != "" {
			fmt.Fprintf(&b, ": %s", Line(details))
		}
		b.WriteString("\n")
		if s.Held != nil {
			fmt.Fprintf(&b, "    %s: %s\n", Line(string(s.Held.Reason)), Line(s.Held.Message))
		}
	}
	fmt.Fprintf(&b, "%s", p.Headline())
	if p.Summary.Unchanged > 0 {
		fmt.Fprintf(&b, "; %d unchanged", p.Summary.Unchanged)
	}
	b.WriteString("\n")
	if note := p.note(); note != "" {
		fmt.Fprintf(&b, "%s\n", note)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// details are why, and what the vault has.
func (s *Step) details() string {
	parts := []string{}
	if s.Why != "" {
		parts = append(parts, s.Why)
	}
	if s.FromPath != "" {
		parts = append(parts, "before from "+s.FromPath)
	}
	if len(s.FurtherPaths) > 0 {
		parts = append(parts, "also from "+strings.Join(s.FurtherPaths, " "))
	}
	if s.Version > 0 {
		parts = append(parts, fmt.Sprintf("version %d", s.Version))
	}
	if len(s.Keys) > 0 {
		parts = append(parts, "keys "+strings.Join(s.Keys, " "))
	}
	return strings.Join(parts, "; ")
}

// note says what a reader should know of how the plan was made.
func (p *Plan) note() string {
	switch {
	case !p.Live:
		return "Neither clusters nor vault were looked at."
	case p.Unlooked > 0:
		return fmt.Sprintf("%d paths were not looked up in the vault.", p.Unlooked)
	}
	return ""
}

// commands are how Azure Pipelines, and in an older form GitHub's runners, take a
// command from anywhere in a line of a log.
var commands = strings.NewReplacer("##[", "## [", "##vso[", "## vso[")

// Line makes text that came from elsewhere fit for a line of a terminal, or of a
// pipeline's log: nothing in it ends the line, moves the cursor or is a command.
func Line(s string) string {
	return commands.Replace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

const (
	// MostMarkdown is how long a comment becomes, in bytes: of the forges
	// Bitbucket takes the least, 32,768 characters.
	MostMarkdown = 30_000
	// mostRows is how many rows its tables have.
	mostRows = 100
	// mostCell is how long a word or a message of it is, in bytes.
	mostCell = 300
)

// Markdown is the plan as a comment on a pull request: a line that says it all, a
// table of what changes, and the rest folded. It is at most [MostMarkdown] long.
//
// Whatever comes from files, the vault or a cluster stands in a code span, in
// which a forge knows no links, mentions or HTML; [code] takes from it the three
// things that could end the span or the cell of the table.
func (p *Plan) Markdown() string {
	b := &markdown{}
	verdict := "✅"
	failing := p.Failing()
	if failing != "" {
		verdict = "❌"
	}
	b.write("%s **secretsync plan**: %s\n\n", verdict, p.Headline())
	if failing != "" {
		b.write("%s\n\n", code(failing))
	}
	p.problemTable(b)
	p.stepTable(b)
	if note := p.note(); note != "" {
		b.write("_%s_\n", note)
	}
	if p.From != "" && p.To != "" {
		b.write("\nFrom %s to %s.\n", code(shortest(p.From)), code(shortest(p.To)))
	}
	return b.String()
}

func (p *Plan) problemTable(b *markdown) {
	rows := 0
	for i := range p.Problems {
		q := &p.Problems[i]
		if q.Known {
			continue
		}
		if rows == 0 {
			b.write("| | file | problem |\n| --- | --- | --- |\n")
		}
		rows++
		where := q.File
		if q.Line > 0 {
			where = fmt.Sprintf("%s:%d", q.File, q.Line)
		}
		sign := "❌"
		if q.Level != Error {
			sign = "⚠️"
		}
		if rows > mostRows || !b.row("| %s | %s | %s |\n", sign, code(where), code(q.Message)) {
			b.more()
			break
		}
	}
	if rows > 0 {
		b.write("\n")
	}
}

func (p *Plan) stepTable(b *markdown) {
	rows, left := 0, 0
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Action == Unchanged {
			continue
		}
		if rows == 0 {
			b.write("| | Secret | definition | vault |\n| --- | --- | --- | --- |\n")
		}
		rows++
		vault := code(s.Path)
		if s.Version > 0 {
			vault += fmt.Sprintf(" v%d", s.Version)
		}
		action := string(s.Action)
		if s.Held != nil {
			action += " ⏸"
		}
		if rows > mostRows || !b.row("| %s | %s | %s | %s |\n", action, code(s.Place()), code(s.Definition), vault) {
			left++
		}
	}
	if left > 0 {
		b.more()
	}
	if rows == 0 {
		return
	}
	b.write("\n<details><summary>Details</summary>\n\n")
	for i := range p.Steps {
		s := &p.Steps[i]
		line := fmt.Sprintf("- %s %s", s.Action, code(s.Place()))
		if s.Why != "" {
			line += ": " + code(s.Why)
		}
		if s.FromPath != "" {
			line += ", before from " + code(s.FromPath)
		}
		if len(s.Keys) > 0 {
			keys := make([]string, 0, len(s.Keys))
			for _, k := range s.Keys[:min(len(s.Keys), 20)] {
				keys = append(keys, code(k))
			}
			if len(s.Keys) > len(keys) {
				keys = append(keys, fmt.Sprintf("and %d more", len(s.Keys)-len(keys)))
			}
			line += "; keys " + strings.Join(keys, " ")
		}
		if s.Held != nil {
			line += "; held up: " + code(string(s.Held.Reason)+": "+s.Held.Message)
		}
		if !b.row("%s\n", line) {
			b.more()
			break
		}
	}
	if p.Summary.Unchanged > 0 {
		b.write("\n%d unchanged.\n", p.Summary.Unchanged)
	}
	b.write("\n</details>\n\n")
}

// markdown is a text of bounded length: rows end it early, so that what closes a
// table or a fold still fits.
type markdown struct{ strings.Builder }

const room = 1000 // for what is written after the rows

func (b *markdown) write(format string, args ...any) { fmt.Fprintf(b, format, args...) }

func (b *markdown) row(format string, args ...any) bool {
	line := fmt.Sprintf(format, args...)
	if b.Len()+len(line) > MostMarkdown-room {
		return false
	}
	b.WriteString(line)
	return true
}

func (b *markdown) more() { b.write("\n…and more; `secretsync plan` shows all of it.\n") }

// code puts text into a code span: on one line, without what ends the span or a
// table's cell, and not too long.
func code(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '`':
			return '\''
		case r == '|':
			return '¦'
		case !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.TrimRight(strings.TrimSpace(s), "\\")
	if len(s) > mostCell {
		s = strings.ToValidUTF8(s[:mostCell], "") + "…"
	}
	if s == "" {
		return "–"
	}
	return "`" + s + "`"
}

func shortest(commit string) string { return commit[:min(len(commit), 10)] }
