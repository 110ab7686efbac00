package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore/definition"
)

// Level says how grave a problem is.
type Level string

// The levels.
const (
	Error   Level = "error"   // something is not synced as it is written
	Warning Level = "warning" // it is synced, but may not be what was meant
)

// Rule is what a problem breaks, for programs.
type Rule string

// The rules.
const (
	RuleMalformed          Rule = "malformed-definition"
	RuleNoDefinition       Rule = "no-definition"
	RuleTooMany            Rule = "too-many-definitions"
	RuleClaimedTwice       Rule = "target-claimed-twice"
	RuleUnknownCluster     Rule = "unknown-cluster"
	RuleForbiddenNamespace Rule = "forbidden-namespace"
	RuleSuspiciousPath     Rule = "suspicious-path"
	RuleSimilarPath        Rule = "similar-path"
	RuleShortInterval      Rule = "short-interval"
	RuleKeyTwice           Rule = "key-claimed-twice"
	RuleDoubtfulType       Rule = "doubtful-type"
)

// Rules are all rules, with what each asks for.
var Rules = []struct {
	Rule  Rule
	Level Level
	Says  string
}{
	{RuleMalformed, Error, "A file under secrets/ that is named as a definition is one."},
	{RuleNoDefinition, Error, "Nothing but definitions lies under secrets/."},
	{RuleTooMany, Error, "A tenant has no more definitions than it is allowed."},
	{RuleClaimedTwice, Error, "Each target is claimed by one definition, or by several that all say mode: Merge."},
	{RuleKeyTwice, Error, "Each key of a shared Secret is asked for by one definition."},
	{RuleUnknownCluster, Error, "A target's cluster is registered for the tenant."},
	{RuleForbiddenNamespace, Error, "A target's namespace is granted to the tenant."},
	{RuleSuspiciousPath, Warning, "A secretPath is relative to the tenant's mount and prefix and does not repeat them."},
	{RuleSimilarPath, Warning, "Paths in the vault do not differ by upper and lower case alone."},
	{RuleShortInterval, Warning, "A refreshInterval is no shorter than the operator allows."},
	{RuleDoubtfulType, Warning, "A type is one that Kubernetes knows, in its spelling, or a name of one's own."},
}

// Problem is something that is wrong with a file, or seems to be.
type Problem struct {
	File    string `json:"file"`             // within the repository
	Line    int    `json:"line,omitempty"`   // 1-based; 0 is the file as a whole
	Column  int    `json:"column,omitempty"` // in characters from 1; 0 is the line as a whole
	Level   Level  `json:"level"`
	Rule    Rule   `json:"rule"`
	Message string `json:"message"`
	// Related is the other place that the problem is about, if there is one.
	Related *Related `json:"related,omitempty"`
	// Known says of a plan's problem that it was there before the change.
	Known bool `json:"known,omitempty"`

	essence string // the message without what may be otherwise before the change; empty: all of it
}

// Related is a place in another file.
type Related struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is the problem on a line: "file:line: cause".
func (p *Problem) String() string {
	return (&definition.FileError{Path: p.File, Line: p.Line, Cause: p.Message}).Error()
}

func problem(rule Rule, level Level, e *definition.FileError) Problem {
	return Problem{File: e.Path, Line: e.Line, Column: e.Column, Level: level, Rule: rule, Message: e.Cause}
}

// about makes a problem of one target, or of the definition with target -1.
func about(l *definition.Located, target int, rule Rule, level Level, format string, args ...any) Problem {
	p := Problem{File: l.Path(), Level: level, Rule: rule, Message: fmt.Sprintf(format, args...)}
	if target >= 0 {
		at := l.Target(target)
		p.Line, p.Column = at.Line, at.Column
	}
	return p
}

// Check finds what is wrong with definitions: in each file, in all together, and,
// with a reach that is not nil, in what the tenant may reach. Problems are sorted
// by file and line.
func Check(set definition.Set, reach Reach) []Problem {
	problems := []Problem{}
	for _, e := range set.Strange {
		problems = append(problems, problem(RuleNoDefinition, Error, e))
	}
	for _, i := range set.Invalid {
		for _, e := range i.Causes {
			problems = append(problems, problem(RuleMalformed, Error, e))
		}
	}
	if e := set.Surplus(); e != nil {
		problems = append(problems, problem(RuleTooMany, Error, e))
	}
	problems = append(problems, clashes(set, reach)...)
	problems = append(problems, types(set)...)
	if reach != nil {
		problems = append(problems, unreachable(set, reach)...)
		problems = append(problems, paths(set, reach)...)
		problems = append(problems, intervals(set, reach.Least())...)
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return problems
}

// clashes finds what several definitions ask for. With a reach it is also known which
// names are of one cluster.
func clashes(set definition.Set, reach Reach) (problems []Problem) {
	var one func(definition.ClusterName) string
	if reach != nil {
		one = func(name definition.ClusterName) string {
			if reach.Registered(name) {
				return "=" + reach.Cluster(name)
			}
			return name.String()
		}
	}
	for _, c := range set.Clashes(one) {
		rule := RuleClaimedTwice
		if c.Keys != nil {
			rule = RuleKeyTwice
		}
		p := problem(rule, Error, c.Problem())
		p.essence = c.Essence()
		at := c.First.Target(c.IndexFirst)
		p.Related = &Related{File: c.First.Path(), Line: at.Line, Column: at.Column}
		problems = append(problems, p)
	}
	return problems
}

// types finds those that were likely mistyped.
func types(set definition.Set) (problems []Problem) {
	for i := range set.Definitions {
		l := &set.Definitions[i]
		if doubt := l.Shape.Doubt(); doubt != "" {
			problems = append(problems, Problem{File: l.Path(), Line: l.Type.Line, Column: l.Type.Column, Level: Warning, Rule: RuleDoubtfulType, Message: doubt})
		}
	}
	return problems
}

// unreachable finds the targets that the configuration refuses.
func unreachable(set definition.Set, reach Reach) (problems []Problem) {
	for i := range set.Definitions {
		l := &set.Definitions[i]
		for j, t := range l.Sync {
			f := reach.Admit(t)
			if f == nil {
				continue
			}
			rule := RuleForbiddenNamespace
			if !reach.Registered(t.Cluster) {
				rule = RuleUnknownCluster
			}
			problems = append(problems, about(l, j, rule, Error, "sync[%d]: %s", j, f.Message))
		}
	}
	return problems
}

// paths finds secretPaths that are written as if they began at the root of the
// vault, and those that differ by case alone.
func paths(set definition.Set, reach Reach) (problems []Problem) {
	mount, prefix := reach.Vault()
	byLower := make(map[string]*definition.Located)
	for i := range set.Definitions {
		l := &set.Definitions[i]
		path := l.SecretPath.String()
		for _, begin := range []struct{ what, path string }{
			{"the mount and the prefix", joined(mount, prefix)}, {"the mount", mount}, {"the prefix", prefix}, {"the API path of KV version 2", "data"}, {"the API path of KV version 2", "metadata"},
		} {
			if rest, ok := strings.CutPrefix(path, begin.path+"/"); begin.path != "" && ok {
				problems = append(problems, about(l, -1, RuleSuspiciousPath, Warning,
					"secretPath %s begins with %s (%s), and is looked up below that once more; if that is not meant, write %s", path, begin.what, begin.path, rest))
				break
			}
		}
		lower := strings.ToLower(path)
		first := byLower[lower]
		if first == nil {
			byLower[lower] = l
		} else if first.SecretPath != l.SecretPath {
			problems = append(problems, about(l, -1, RuleSimilarPath, Warning,
				"secretPath %s differs from %s of definition %s by case alone; paths in the vault are case-sensitive", path, first.SecretPath, first.Name))
		}
	}
	return problems
}

// intervals finds those that are taken as a longer one.
func intervals(set definition.Set, least time.Duration) (problems []Problem) {
	for i := range set.Definitions {
		l := &set.Definitions[i]
		if l.Shape == nil {
			continue
		}
		if every := l.Shape.RefreshInterval; every.Duration() > 0 && every.Duration() < least {
			problems = append(problems, about(l, -1, RuleShortInterval, Warning, "refreshInterval %s is shorter than the operator allows; the vault is asked every %s", every, least))
		}
	}
	return problems
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return ""
	}
	return a + "/" + b
}
