package decide

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/vault"
	"secretsync/reconcile/vault/kv"
)

// A copy is made of the values at one path or several. Here is how those count as one
// value, and how the versions of which a copy was made are told apart from those of now.

// Part is one further path that a copy is made of, as it stands now.
type Part struct {
	Path  string
	State vault.State
}

// Combine makes the input that of a copy which is made of further values beside that
// of Source.
func (in *Input) Combine(further []Part) {
	in.Parts = further
	in.Source, in.others = combine(in.Source, further), versionsOf(further)
}

// combine makes one state of all values that a copy is made of: what keeps one of
// them from being copied keeps the copy, and it is known when all are.
func combine(s vault.State, parts []Part) vault.State {
	for i := range parts {
		p := &parts[i].State
		if s.Fault == nil && p.Fault != nil {
			s.Fault = p.Fault
		}
		s.Known = s.Known && p.Known
		s.Asked = s.Asked || p.Asked
		if p.Checked.Before(s.Checked) {
			s.Checked = p.Checked
		}
		if p.Stood.After(s.Stood) {
			s.Stood = p.Stood
		}
	}
	s.Known = s.Known || s.Fault != nil
	return s
}

// versionsOf writes the versions of further paths as a copy carries them, in the
// order of the paths; it is empty where there are none, or one is not known.
func versionsOf(parts []Part) string {
	if len(parts) == 0 {
		return ""
	}
	lines := make([]string, len(parts))
	for i, p := range parts {
		if !p.State.Known || p.State.Version.IsZero() {
			return ""
		}
		lines[i] = fmt.Sprintf("%s@%d@%s", p.Path, p.State.Version.Number, p.State.Version.Created)
	}
	slices.Sort(lines)
	return strings.Join(lines, ";")
}

// borne is the version of a further path that a copy carries; zero where it
// carries none. A path may hold an '@', a version and a time don't.
func borne(others, path string) kv.Version {
	for line := range strings.SplitSeq(others, ";") {
		rest, ok := strings.CutPrefix(line, path+"@")
		number, created, whole := strings.Cut(rest, "@")
		if n, err := strconv.Atoi(number); ok && whole && err == nil && !strings.Contains(created, "@") {
			return kv.Version{Number: n, Created: created}
		}
	}
	return kv.Version{}
}

// Versions are those of all further paths that a copy carries in its stamp, by path.
func Versions(others string) map[string]int {
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
func (in *Input) stamp() copies.Stamp {
	return copies.Stamp{Path: in.Path, Version: in.Source.Version.Number, Created: in.Source.Version.Created, Recipe: in.Recipe, Others: in.others}
}

// older reports whether the vault answers an older version of the path than
// was copied before: a standby that lags, or a vault that was turned back.
func older(in *Input, c *copies.Copy) bool {
	if in.Source.Confirmed || c == nil || !c.Intact || c.Path != in.Path {
		return false
	}
	return in.Source.Version.Before(bears(c))
}

// olderPart names a further path of which the vault answers an older version than
// was copied.
func olderPart(in *Input, c *copies.Copy) string {
	if c == nil || !c.Intact || c.Recipe != in.Recipe {
		return ""
	}
	for i := range in.Parts {
		if p := &in.Parts[i]; !p.State.Confirmed && p.State.Version.Before(borne(c.Others, p.Path)) {
			return p.Path
		}
	}
	return ""
}

func bears(c *copies.Copy) kv.Version { return kv.Version{Number: c.Version, Created: c.Created} }

// Doubted are the versions that the copy bears, of Path and of each of Parts in their
// order, where the vault is to be asked again because it answers an older one: zero
// where it is not.
func (in *Input) Doubted() []kv.Version {
	c, all := in.Seen.Copy, make([]kv.Version, 1+len(in.Parts))
	if c == nil {
		return all
	}
	if older(in, c) {
		all[0] = bears(c)
	}
	for i := range in.Parts {
		all[i+1] = borne(c.Others, in.Parts[i].Path)
	}
	return all
}
