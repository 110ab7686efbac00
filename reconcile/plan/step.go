package plan

import (
	"cmp"
	"fmt"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// Action is what happens to one Secret.
type Action string

// The actions.
const (
	Create    Action = "create"
	Update    Action = "update"
	Move      Action = "move"   // another definition has it from now on
	Resume    Action = "resume" // the copy that stands there already is synced again
	Stop      Action = "stop"   // it is no longer synced; the Secret stays, with its labels
	Delete    Action = "delete" // it is no longer synced; the Secret goes, as its definition says
	Unchanged Action = "unchanged"
)

// Step is what happens to one Secret, and why. Its words are names, paths and
// versions.
type Step struct {
	Action         Action `json:"action"`
	Cluster        string `json:"cluster"`
	Namespace      string `json:"namespace"`
	Secret         string `json:"secretName"`
	Definition     string `json:"definition"`
	FromDefinition string `json:"fromDefinition,omitempty"` // that had it, of a move
	Path           string `json:"secretPath"`
	FromPath       string `json:"fromSecretPath,omitempty"` // where that is another one
	// FurtherPaths are those that the copy is made of beside Path.
	FurtherPaths []string `json:"furtherPaths,omitempty"`
	Why          string   `json:"why,omitempty"`
	File         string   `json:"file,omitempty"`
	Line         int      `json:"line,omitempty"`
	// Selects: Namespace is none but a selector in braces, as it is not known which
	// match, or none does.
	Selects bool `json:"-"`
	// Shares is the definition where it shares the Secret, before the change or after it.
	Shares definition.Name `json:"-"`
	// Standing is what stands there now, where somebody looked: "none", "copy",
	// which is ours, or "foreign".
	Standing string `json:"standing,omitempty"`
	// Version and Keys are what the vault has, where somebody looked.
	Version int      `json:"vaultVersion,omitempty"`
	Keys    []string `json:"keys,omitempty"`
	// Held is what keeps it from being done, as things stand.
	Held *Held `json:"held,omitempty"`
}

// Held is why a step is not done, in the words of a status.
type Held struct {
	State   fault.State  `json:"state"`
	Reason  fault.Reason `json:"reason"`
	Message string       `json:"message"`
}

// Place names the Secret.
func (s *Step) Place() string { return s.Cluster + "/" + s.Namespace + "/" + s.Secret }

// Plan is what a change of definitions does.
type Plan struct {
	From     string    `json:"from"` // the commit; empty where it is none
	To       string    `json:"to"`
	Steps    []Step    `json:"steps"`    // by place
	Problems []Problem `json:"problems"` // of what the change leads to, by file and line
	Summary  Summary   `json:"summary"`
	// Live says that the clusters and the vault were looked at, and Unlooked how
	// many vault paths were not, because they were too many or it took too long.
	Live     bool `json:"live"`
	Unlooked int  `json:"unlooked,omitempty"`
	// Omitted is how many steps are left out; see [Plan.Bound]. The Summary counts
	// them.
	Omitted int `json:"omitted,omitempty"`
}

// Bound leaves out the steps beyond a number: of a change of everything there are
// as many as a tenant has targets. Those that are held up stay before others.
func (p *Plan) Bound(most int) {
	left := len(p.Steps) - most
	if left <= 0 {
		return
	}
	held := 0
	for i := range p.Steps {
		if p.Steps[i].Held != nil {
			held++
		}
	}
	others := max(0, most-held)
	kept := make([]Step, 0, most)
	for _, s := range p.Steps {
		switch {
		case len(kept) == most:
		case s.Held != nil:
			kept = append(kept, s)
		case others > 0:
			others--
			kept = append(kept, s)
		}
	}
	p.Steps, p.Omitted = kept, p.Omitted+left
}

// Summary counts steps by their action, and those that are held up.
type Summary struct {
	Create    int `json:"create"`
	Update    int `json:"update"`
	Move      int `json:"move"`
	Resume    int `json:"resume"`
	Stop      int `json:"stop"`
	Delete    int `json:"delete"`
	Unchanged int `json:"unchanged"`
	Held      int `json:"held"`
	Errors    int `json:"errors"`   // problems of that level that are new
	Warnings  int `json:"warnings"` // the same
}

// sum counts; what is unchanged was counted before.
func (p *Plan) sum() {
	for i := range p.Steps {
		switch s := &p.Steps[i]; s.Action {
		case Create:
			p.Summary.Create++
		case Update:
			p.Summary.Update++
		case Move:
			p.Summary.Move++
		case Resume:
			p.Summary.Resume++
		case Stop:
			p.Summary.Stop++
		case Delete:
			p.Summary.Delete++
		}
		if p.Steps[i].Held != nil && p.Steps[i].Action != Unchanged {
			p.Summary.Held++
		}
	}
	for i := range p.Problems {
		switch {
		case p.Problems[i].Known:
		case p.Problems[i].Level == Error:
			p.Summary.Errors++
		default:
			p.Summary.Warnings++
		}
	}
}

// markKnown marks the problems that were there before. On which line of another file
// the other half of one stands is no part of it: lines move, and of what stands in
// HEAD they are not known.
func (p *Plan) markKnown(before []Problem) {
	type mark struct {
		file    string
		rule    Rule
		essence string
	}
	markOf := func(q *Problem) mark { return mark{q.File, q.Rule, cmp.Or(q.essence, q.Message)} }
	known := make(map[mark]bool, len(before))
	for i := range before {
		known[markOf(&before[i])] = true
	}
	for i := range p.Problems {
		q := &p.Problems[i]
		q.Known = known[markOf(q)]
	}
}

// Changes reports whether anything is done.
func (p *Plan) Changes() bool {
	s := p.Summary
	return s.Create+s.Update+s.Move+s.Resume+s.Stop+s.Delete > 0
}

// Failing returns why the change should not be made as it is: the first problem
// that it brings, or the first step that a person has to do something about
// first. Empty: nothing. What an outage hides is none of its making.
func (p *Plan) Failing() string {
	for i := range p.Problems {
		if q := &p.Problems[i]; q.Level == Error && !q.Known {
			return q.String()
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Held == nil || s.Action == Unchanged || s.Held.State != fault.Error {
			continue
		}
		switch s.Held.Reason {
		case fault.ReasonClusterUnreachable, fault.ReasonVaultUnavailable, fault.ReasonVaultForbidden, fault.ReasonForbidden:
			continue
		}
		where := s.File
		if s.Line > 0 {
			where = fmt.Sprintf("%s:%d", s.File, s.Line)
		}
		return fmt.Sprintf("%s: %s: %s", where, s.Place(), s.Held.Message)
	}
	return ""
}

// Headline says in one line what the change does.
func (p *Plan) Headline() string {
	s := p.Summary
	var parts []string
	for _, c := range []struct {
		count int
		what  string
	}{
		{s.Create, "to create"}, {s.Update, "to update"}, {s.Move, "to move"}, {s.Resume, "to resume"}, {s.Stop, "to stop (Secrets stay)"}, {s.Delete, "to delete (Secrets go)"},
	} {
		if c.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.count, c.what))
		}
	}
	line := strings.Join(parts, ", ")
	if line == "" {
		line = "nothing changes"
	}
	if s.Held > 0 {
		line += fmt.Sprintf("; %d held up", s.Held)
	}
	if s.Errors > 0 {
		line += fmt.Sprintf("; %d %s", s.Errors, plural(s.Errors, "mistake", "mistakes"))
	}
	if p.Omitted > 0 {
		line += fmt.Sprintf("; %d not listed", p.Omitted)
	}
	if s.Warnings > 0 {
		line += fmt.Sprintf("; %d %s", s.Warnings, plural(s.Warnings, "warning", "warnings"))
	}
	return line
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
