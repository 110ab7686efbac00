package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/compose"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/vault"
)

// asked is what a definition asks of its copies beside which path they are of. Nil
// asks for what a copy is by default, as most definitions do. It is immutable, and
// shared by the targets of a definition.
type asked struct {
	recipe    *compose.Recipe
	worn      kube.Worn
	suspended bool
	every     time.Duration // how often the vault is asked for it; 0: as often as for the tenant's others
}

// asks is what a definition asks for.
func asks(d definition.Definition) *asked {
	if d.Shape == nil {
		return nil
	}
	r := compose.Of(d)
	return &asked{recipe: r, worn: kube.Wear(r.Labels(), r.Annotations()), suspended: d.Shape.Suspended(), every: d.Shape.RefreshInterval.Duration()}
}

// of says how the copies of a path are made.
func (a *asked) of(path definition.SecretPath) *compose.Recipe {
	if a != nil {
		return a.recipe
	}
	return compose.Of(definition.Definition{SecretPath: path})
}

// interval is how often the vault is asked for it; 0 is as often as for the
// tenant's others.
func (a *asked) interval() time.Duration {
	if a == nil {
		return 0
	}
	return a.every
}

// further are the paths of which a target's copy is made beside its secretPath. Nil
// is none.
type further struct {
	paths   []definition.SecretPath
	origins []*origin // nil where the target is refused
}

func furtherOf(paths []definition.SecretPath) *further {
	if len(paths) == 0 {
		return nil
	}
	return &further{paths, make([]*origin, len(paths))}
}

func (f *further) all() []definition.SecretPath {
	if f == nil {
		return nil
	}
	return f.paths
}

// followed are the origins of all paths of a target that is not refused, its
// secretPath's first.
func (t *target) followed() []*origin {
	if t.further == nil {
		return []*origin{t.origin}
	}
	return append([]*origin{t.origin}, t.further.origins...)
}

// part is one further path that a copy is made of, as it stands now.
type part struct {
	path  string
	state vault.State
}

// combine makes one state of all values that a copy is made of: what keeps one of
// them from being copied keeps the copy, and it is known when all are.
func combine(s vault.State, parts []part) vault.State {
	for i := range parts {
		p := &parts[i].state
		if s.Fault == nil && p.Fault != nil {
			s.Fault = p.Fault
		}
		s.Known = s.Known && p.Known
		s.Asked = s.Asked || p.Asked
		if p.Checked.Before(s.Checked) {
			s.Checked = p.Checked
		}
		s.Stood = later(s.Stood, p.Stood)
	}
	s.Known = s.Known || s.Fault != nil
	return s
}

// versionsOf writes the versions of further paths as a copy carries them, in the
// order of the paths; it is empty where there are none, or one is not known.
func versionsOf(parts []part) string {
	if len(parts) == 0 {
		return ""
	}
	lines := make([]string, len(parts))
	for i, p := range parts {
		if !p.state.Known || p.state.Version.IsZero() {
			return ""
		}
		lines[i] = fmt.Sprintf("%s@%d@%s", p.path, p.state.Version.Number, p.state.Version.Created)
	}
	slices.Sort(lines)
	return strings.Join(lines, ";")
}

// borne is the version of a further path that a copy carries; zero where it
// carries none. A path may hold an '@', a version and a time don't.
func borne(others, path string) vault.Version {
	for line := range strings.SplitSeq(others, ";") {
		rest, ok := strings.CutPrefix(line, path+"@")
		number, created, whole := strings.Cut(rest, "@")
		if n, err := strconv.Atoi(number); ok && whole && err == nil && !strings.Contains(created, "@") {
			return vault.Version{Number: n, Created: created}
		}
	}
	return vault.Version{}
}

// versions are those of all further paths that a copy carries, by path.
func versions(others string) map[string]int {
	all := make(map[string]int)
	for line := range strings.SplitSeq(others, ";") {
		at := strings.LastIndexByte(line, '@')
		if at < 0 {
			continue
		}
		path := line[:at]
		if at = strings.LastIndexByte(path, '@'); at < 0 {
			continue
		}
		if n, err := strconv.Atoi(path[at+1:]); err == nil {
			all[path[:at]] = n
		}
	}
	return all
}
