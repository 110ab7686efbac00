package gitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// deepestAlternate is how far alternates of alternates are followed, as Git
// has it.
const deepestAlternate = 5

// scanAlternates reads which other folders belong to this one.
func (o *objects) scanAlternates() error {
	list, err := readFile(o.fs, filepath.Join(o.dir, "info", "alternates"), 1<<20)
	if errors.Is(err, fs.ErrNotExist) || o.depth == deepestAlternate {
		return nil
	} else if err != nil {
		return err
	}
	known := make(map[string]*objects)
	for _, a := range *o.alternates.Load() {
		known[a.dir] = a
	}
	var alternates []*objects
	var failed error
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if !filepath.IsAbs(line) {
			line = filepath.Join(o.dir, line)
		}
		a := known[line]
		if a == nil {
			a = newObjects(o.fs, line)
			a.depth = o.depth + 1
		}
		failed = errors.Join(failed, a.scan())
		alternates = append(alternates, a)
	}
	o.alternates.Store(&alternates)
	if failed != nil {
		return fmt.Errorf("alternate objects: %w", failed)
	}
	return nil
}
