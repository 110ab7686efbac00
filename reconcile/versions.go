package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"secretsync/reconcile/kube"
	"secretsync/reconcile/vault"
)

// A copy is made of the values at one path or several. Here is how those count as one
// value, and how the versions of which a copy was made are told apart from those of now.

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

// stamp is what the copy is to be made of, as far as it is known.
func (in *input) stamp() kube.Stamp {
	return kube.Stamp{Path: in.path, Version: in.source.Version.Number, Created: in.source.Version.Created, Recipe: in.recipe, Others: in.others}
}

// older reports whether the vault answers an older version of the path than
// was copied before: a standby that lags, or a vault that was turned back.
func older(in *input, c *kube.Copy) bool {
	if in.source.Confirmed || c == nil || !c.Intact || c.Path != in.path {
		return false
	}
	return in.source.Version.Before(bears(c))
}

// olderPart names a further path of which the vault answers an older version than
// was copied.
func olderPart(in *input, c *kube.Copy) string {
	if c == nil || !c.Intact || c.Recipe != in.recipe {
		return ""
	}
	for i := range in.parts {
		if p := &in.parts[i]; !p.state.Confirmed && p.state.Version.Before(borne(c.Others, p.path)) {
			return p.path
		}
	}
	return ""
}

func bears(c *kube.Copy) vault.Version { return vault.Version{Number: c.Version, Created: c.Created} }
