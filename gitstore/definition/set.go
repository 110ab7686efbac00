package definition

import (
	"cmp"
	"errors"
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
}

// Position is a place in a file. Both count from 1; 0 is not known.
type Position struct{ Line, Column int }

// Path returns the path of the definition's file within the repository.
func (l *Located) Path() string { return pathOf(l.Name) }

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

// File is a file in the folder of definitions, wherever it comes from.
type File struct {
	Name string // within the folder
	Mode filemode.FileMode
	// Read returns what it holds: of a longer one the first limit bytes.
	Read func(limit int64) ([]byte, error)
}

// NoFolder is the set of a revision in which something else stands where the
// folder of definitions should be.
func NoFolder(mode filemode.FileMode) Set {
	return Set{Strange: []*FileError{{Path: Folder, Cause: "is " + DescribeMode(mode) + ", not a folder with definitions; replace it"}}}
}

// ReadSet reads the files of the folder of definitions. Zero allowed stands for
// the usual limit. The error says why a file could not be read; what is wrong
// with one is in the Set.
func ReadSet(files []File, allowed int) (Set, error) {
	if allowed == 0 {
		allowed = DefaultLimit
	}
	s := Set{Allowed: allowed}
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int {
		// By the definitions' names: a file name goes on with a '.', which sorts
		// after the '-' that another one's name may go on with.
		return strings.Compare(strings.TrimSuffix(a.Name, FileSuffix), strings.TrimSuffix(b.Name, FileSuffix))
	})
	for _, f := range files {
		name, problem := NameOfFile(f.Name, f.Mode)
		if problem != nil {
			s.Strange = append(s.Strange, problem)
			continue
		}
		s.Count++
		if !IsFile(f.Mode) {
			s.Invalid = append(s.Invalid, Invalid{Name: name, Causes: FileErrors{{Path: pathOf(name), Cause: "is " + DescribeMode(f.Mode) + "; replace it by a regular file"}}})
			continue
		}
		content, err := f.Read(MaxFileSize + 1)
		if err != nil {
			return Set{}, err
		}
		d, err := ParseLocated(pathOf(name), content)
		if all, ok := errors.AsType[FileErrors](err); ok {
			s.Invalid = append(s.Invalid, Invalid{Name: name, Causes: all})
		} else if s.Count <= allowed {
			s.Definitions = append(s.Definitions, d)
		}
	}
	return s, nil
}

// ParseLocated is [Parse], and tells where the targets stand.
func ParseLocated(filePath string, content []byte) (Located, error) {
	p := &parser{path: filePath}
	parsed := p.parseNamed(content)
	if err := p.err(); err != nil {
		return Located{}, err
	}
	l := Located{Definition: parsed.definition, Targets: make([]Position, len(parsed.targets))}
	for i, t := range parsed.targets {
		l.Targets[i] = Position{t.node.Line, t.node.Column}
	}
	return l, nil
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

// Clash is that a definition claims a target which one of a lesser name claims,
// too. Of the two the one that holds it already keeps it, else the lesser name.
type Clash struct {
	Place      Place
	By, First  *Located
	Index      int // in By.Sync
	IndexFirst int // in First.Sync
}

// Problem tells of the clash in the file of the greater name.
func (c *Clash) Problem() *FileError {
	at, first := c.By.Target(c.Index), c.First.Target(c.IndexFirst)
	where := c.First.Path()
	if first.Line > 0 {
		where = fmt.Sprintf("line %d of %s", first.Line, where)
	}
	return &FileError{Path: c.By.Path(), Line: at.Line, Column: at.Column, Cause: fmt.Sprintf(
		"sync[%d] claims %s, which definition %s claims on %s; remove one of the two", c.Index, c.Place, c.First.Name, where)}
}

// Clashes are the targets that several definitions claim, in their order.
func (s *Set) Clashes() []Clash {
	type claim struct {
		by    *Located
		index int
	}
	var clashes []Clash
	claimed := make(map[Place]claim)
	for i := range s.Definitions {
		l := &s.Definitions[i]
		if l.Shape.Merges() {
			continue // it shares what it claims
		}
		for j, t := range l.Sync {
			place := t.Place(l.Name)
			if first, ok := claimed[place]; ok {
				clashes = append(clashes, Clash{Place: place, By: l, Index: j, First: first.by, IndexFirst: first.index})
				continue
			}
			claimed[place] = claim{l, j}
		}
	}
	return clashes
}

// Problems are all mistakes that have to be mended, by path and line.
func (s *Set) Problems() []*FileError {
	problems := slices.Clone(s.Strange)
	for _, i := range s.Invalid {
		problems = append(problems, i.Causes...)
	}
	for _, c := range s.Clashes() {
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
		other[pathOf(i.Name)] = true
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
		if last[i.Name] = i.Last; !other[pathOf(i.Name)] {
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
