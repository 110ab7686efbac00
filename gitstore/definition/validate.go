package definition

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// DefaultLimit is the usual limit of a tenant's definitions.
const DefaultLimit = 1000

// Report is what a check of a repository's files found.
type Report struct {
	// Definitions counts the files that were read as definitions, valid or not.
	Definitions int
	// Problems are mistakes that have to be mended, by path and line.
	Problems []*FileError
}

// ValidateDir checks the definitions of the checkout whose root is dir as the
// server would read them, were it committed, and besides what several of them
// claim together. Zero maxDefinitions stands for the usual limit. The error says
// why the files couldn't be read; what is wrong with them is in the Report.
func ValidateDir(dir fs.FS, maxDefinitions int) (Report, error) {
	if maxDefinitions == 0 {
		maxDefinitions = DefaultLimit
	}
	c := &checkout{dir: dir, claimed: make(map[Place]claimant)}
	info, err := fs.Lstat(dir, Folder)
	if errors.Is(err, fs.ErrNotExist) {
		// Git keeps no empty folders, so this can be a repository without
		// definitions; but also a mistyped path, which must not pass.
		if _, err := fs.Lstat(dir, ".git"); err != nil {
			return Report{}, fmt.Errorf("there is no folder %s/; give the root of a checkout", Folder)
		}
		return Report{}, nil
	}
	if err != nil {
		return Report{}, err
	}
	if mode := gitMode(dir, fs.FileInfoToDirEntry(info)); !IsFolder(mode) {
		c.problem(Folder, 0, "is %s, not a folder with definitions; replace it", DescribeMode(mode))
		return c.report, nil
	}
	files, err := fs.ReadDir(dir, Folder)
	if err != nil {
		return Report{}, err
	}
	for _, file := range files {
		if err := c.check(file); err != nil {
			return Report{}, err
		}
	}
	if n := c.report.Definitions; n > maxDefinitions {
		c.report.Problems = append(c.report.Problems, SurplusProblem(n, maxDefinitions))
	}
	slices.SortStableFunc(c.report.Problems, func(a, b *FileError) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	return c.report, nil
}

// SurplusProblem says that there are more definitions than are allowed.
func SurplusProblem(definitions, allowed int) *FileError {
	return &FileError{Path: Folder, Cause: fmt.Sprintf(
		"holds %d definitions and %d are allowed: the %d with the greatest names are not synced; remove some, or have the limit raised",
		definitions, allowed, definitions-allowed)}
}

type checkout struct {
	dir     fs.FS
	report  Report
	claimed map[Place]claimant
}

// claimant is the first definition that claims a place.
type claimant struct {
	name Name
	line int
}

func (c *checkout) problem(path string, line int, format string, args ...any) {
	c.report.Problems = append(c.report.Problems, &FileError{Path: path, Line: line, Cause: fmt.Sprintf(format, args...)})
}

func (c *checkout) check(file fs.DirEntry) error {
	mode := gitMode(c.dir, file)
	name, problem := NameOfFile(file.Name(), mode)
	if problem != nil {
		c.report.Problems = append(c.report.Problems, problem)
		return nil
	}
	c.report.Definitions++
	path := pathOf(name)
	if !IsFile(mode) {
		c.problem(path, 0, "is %s; replace it by a regular file", DescribeMode(mode))
		return nil
	}
	content, err := readStart(c.dir, path, MaxFileSize+1)
	if err != nil {
		return err
	}
	p := &parser{path: path}
	parsed := p.parseNamed(content)
	if err := p.err(); err != nil {
		var all FileErrors
		errors.As(err, &all)
		c.report.Problems = append(c.report.Problems, all...)
		return nil
	}
	c.claim(path, parsed)
	return nil
}

// claim notes a valid definition's targets. The server leaves a place that two
// definitions claim with the one that holds it already, else with the lesser
// name; files come in the order of their names.
func (c *checkout) claim(path string, f *document) {
	for i, t := range f.definition.Sync {
		place := t.Place(f.definition.Name)
		line := f.targets[i].node.Line
		if first, ok := c.claimed[place]; ok {
			c.problem(path, line, "sync[%d] claims %s, which definition %s claims on line %d of %s; remove one of the two",
				i, place, first.name, first.line, pathOf(first.name))
			continue
		}
		c.claimed[place] = claimant{f.definition.Name, line}
	}
}

// gitMode returns the mode under which Git would record a file of secrets/.
func gitMode(dir fs.FS, file fs.DirEntry) filemode.FileMode {
	switch file.Type() {
	case 0:
		return filemode.Regular
	case fs.ModeSymlink:
		return filemode.Symlink
	case fs.ModeDir:
		if _, err := fs.Lstat(dir, Folder+"/"+file.Name()+"/.git"); err == nil {
			return filemode.Submodule
		}
		return filemode.Dir
	}
	return 0 // a device or the like, which Git can't hold
}

// readStart reads at most limit bytes of a file.
func readStart(dir fs.FS, path string, limit int64) ([]byte, error) {
	file, err := dir.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}
