package definition

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Set is what the files of one revision say together: those of a commit, of a
// checkout, or of what somebody proposes.
type Set struct {
	// Definitions are the valid ones that are served, by name.
	Definitions []Located
	// Invalid are the files named as definitions are and that are none, by name.
	Invalid []Invalid
	// Strange are files, and the folder itself, that are no definition's.
	Strange []*FileError
	// Count is the number of files named as definitions are, and Allowed how many
	// may be served: those with the lesser names. Zero Allowed: all.
	Count, Allowed int
}

// Located is a definition, and where its targets stand in its file.
type Located struct {
	Definition
	Targets []Position // as in Sync; empty where that is not known
	Type    Position   // of its type; zero where that is not known, or none is given
}

// Position is a place in a file. Both count from 1; 0 is not known.
type Position struct{ Line, Column int }

// Path returns the path of the definition's file within the repository.
func (l *Located) Path() string { return PathOf(l.Name) }

// Target returns where the target of that index stands.
func (l *Located) Target(i int) Position {
	if i >= len(l.Targets) {
		return Position{}
	}
	return l.Targets[i]
}

// Invalid is a file that should be a definition and is none.
type Invalid struct {
	Name   Name
	Causes FileErrors
	// Last is the last valid version, which goes on being synced; nil where that
	// is not known, or there never was one.
	Last *Located
}

// Get returns the valid definition of that name.
func (s *Set) Get(name Name) (*Located, bool) {
	i, ok := slices.BinarySearchFunc(s.Definitions, name.String(), func(l Located, name string) int { return strings.Compare(l.Name.String(), name) })
	if !ok {
		return nil, false
	}
	return &s.Definitions[i], true
}

// Surplus says that there are more definitions than are allowed; nil if not.
func (s *Set) Surplus() *FileError {
	if s.Allowed == 0 || s.Count <= s.Allowed {
		return nil
	}
	return SurplusProblem(s.Count, s.Allowed)
}

// Problems are all mistakes that have to be mended, by path and line.
func (s *Set) Problems() []*FileError {
	problems := slices.Clone(s.Strange)
	for _, i := range s.Invalid {
		problems = append(problems, i.Causes...)
	}
	for _, c := range s.Clashes(nil) {
		problems = append(problems, c.Problem())
	}
	if surplus := s.Surplus(); surplus != nil {
		problems = append(problems, surplus)
	}
	slices.SortStableFunc(problems, func(a, b *FileError) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	return problems
}

// With returns the set after a change: what the files of change say stands in
// place of what files of those names said, and removed are paths of files that are
// gone.
func (s Set) With(change Set, removed []string) Set {
	other := make(map[string]bool, len(removed))
	for _, path := range removed {
		other[path] = true
	}
	for i := range change.Definitions {
		other[change.Definitions[i].Path()] = true
	}
	for _, i := range change.Invalid {
		other[PathOf(i.Name)] = true
	}
	for _, e := range change.Strange {
		other[e.Path] = true
	}
	result := Set{Definitions: slices.Clone(change.Definitions), Allowed: change.Allowed}
	for _, l := range s.Definitions {
		if !other[l.Path()] {
			result.Definitions = append(result.Definitions, l)
		}
	}
	last := make(map[Name]*Located)
	for _, i := range s.Invalid {
		if last[i.Name] = i.Last; !other[PathOf(i.Name)] {
			result.Invalid = append(result.Invalid, i)
		}
	}
	for i := range s.Definitions {
		last[s.Definitions[i].Name] = &s.Definitions[i]
	}
	for _, i := range change.Invalid {
		i.Last = last[i.Name]
		result.Invalid = append(result.Invalid, i)
	}
	for _, e := range s.Strange {
		if !other[e.Path] {
			result.Strange = append(result.Strange, e)
		}
	}
	result.Strange = append(result.Strange, change.Strange...)
	result.Count = len(result.Definitions) + len(result.Invalid)
	slices.SortFunc(result.Definitions, func(a, b Located) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	slices.SortFunc(result.Invalid, func(a, b Invalid) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return result
}

// DefaultLimit is the usual limit of a tenant's definitions.
const DefaultLimit = 1000

// SurplusProblem says that there are more definitions than are allowed.
func SurplusProblem(definitions, allowed int) *FileError {
	return &FileError{Path: Folder, Cause: fmt.Sprintf(
		"holds %d definitions and %d are allowed: the %d with the greatest names are not synced; remove some, or have the limit raised",
		definitions, allowed, definitions-allowed)}
}

// NoFolder is the set of a revision in which something else stands where the
// folder of definitions should be.
func NoFolder(mode filemode.FileMode) Set {
	return Set{Strange: []*FileError{{Path: Folder, Cause: "is " + DescribeMode(mode) + ", not a folder with definitions; replace it"}}}
}
