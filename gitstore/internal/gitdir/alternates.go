package gitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"secretsync/gitstore/internal/gitdir/disk"
)

const (
	// deepestAlternate is how far alternates of alternates are followed, as Git
	// has it.
	deepestAlternate = 5
	// mostAlternates bounds the folders that belong to a repository. Git has no
	// such bound, and takes no time for each of them that counts.
	mostAlternates = 256
)

// scanAlternates reads which other folders belong to this one. Each counts once
// for the whole repository, as with Git: seen holds those that were met, and one
// that names itself, or is named by two others, is not gone through again.
func (o *objects) scanAlternates(seen map[string]bool) error {
	list, err := disk.ReadFile(o.fs, filepath.Join(o.dir, "info", "alternates"), 1<<20)
	if o.depth == deepestAlternate || errors.Is(err, fs.ErrNotExist) {
		list = nil
	} else if err != nil {
		return err
	}
	gone := make(map[string]*objects)
	for _, a := range *o.alternates.Load() {
		gone[a.dir] = a
	}
	var alternates []*objects
	var failed error
	for _, dir := range parseAlternates(string(list)) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(o.dir, dir)
		}
		if dir = filepath.Clean(dir); seen[dir] {
			continue
		}
		if len(seen) > mostAlternates {
			failed = errors.Join(failed, fmt.Errorf("more than %d folders are named; git repack -a -d makes none of them needed: %w", mostAlternates, disk.ErrTooLarge))
			break
		}
		seen[dir] = true
		a := gone[dir]
		delete(gone, dir)
		if a == nil {
			a = newObjects(o.fs, o.handles, dir)
			a.depth = o.depth + 1
		}
		failed = errors.Join(failed, a.scanInto(seen))
		alternates = append(alternates, a)
	}
	o.alternates.Store(&alternates)
	for _, a := range gone {
		failed = errors.Join(failed, a.close())
	}
	if failed != nil {
		return fmt.Errorf("alternate objects: %w", failed)
	}
	return nil
}

// parseAlternates returns the folders that info/alternates lists: one a line,
// quoted as in C where the line begins with a double quote, and comments.
func parseAlternates(list string) (dirs []string) {
	for list != "" {
		dir, rest, quoted := unquote(list)
		if !quoted {
			dir, rest, _ = strings.Cut(list, "\n")
			if strings.HasPrefix(dir, "#") {
				dir = ""
			}
		} else if rest != "" {
			rest = rest[1:] // whatever it is: as Git has it
		}
		if dir != "" {
			dirs = append(dirs, dir)
		}
		list = rest
	}
	return dirs
}

// unquote reads the quoted name that s begins with, as Git writes it, and
// returns what follows. It fails where there is none, or it isn't quoted right.
func unquote(s string) (name, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", false
	}
	var b strings.Builder
	for s = s[1:]; s != ""; {
		c := s[0]
		s = s[1:]
		switch {
		case c == '"':
			return b.String(), s, true
		case c != '\\':
			b.WriteByte(c)
			continue
		case s == "":
			return "", "", false
		}
		c, s = s[0], s[1:]
		switch n := strings.IndexByte(`abfnrtv\"`, c); {
		case n >= 0:
			b.WriteByte("\a\b\f\n\r\t\v\\\""[n])
		case c >= '0' && c <= '3' && len(s) >= 2 && isOctal(s[0]) && isOctal(s[1]):
			b.WriteByte((c-'0')<<6 | (s[0]-'0')<<3 | (s[1] - '0'))
			s = s[2:]
		default:
			return "", "", false
		}
	}
	return "", "", false
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }
