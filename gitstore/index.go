package gitstore

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// index is what is known of the commit at HEAD. It is immutable, apart from
// the pointers to shared entries nothing in it is shared with an older one.
type index struct {
	head     hash
	time     time.Time // committer's, of head
	root     []byte    // the raw tree of head
	secrets  []byte    // the raw tree secrets/; empty where there is none
	snapshot *Snapshot
}

// emptyIndex is that of a branch without a commit.
func emptyIndex() *index { return &index{snapshot: newSnapshot(hash{}, nil, nil)} }

// unreadIndex is that of a branch which was not read yet.
func unreadIndex() *index {
	i := emptyIndex()
	i.snapshot.unread = true
	return i
}

// A walk goes from a commit along the first parents and finds out for each
// file which commit changed it last and which one added it.
type walk struct {
	reader *reader
	repo   string // for the list of shallow commits
	base   *index // may be nil: what is known already of some commit

	touched map[string]*touch
	settled int // names at HEAD for which nothing more has to be looked for
}

// touch is what the walk found out about one file.
type touch struct {
	entry   *Entry     // nil where the file is no definition's or is gone
	problem *FileError // what to say of a file that is no definition's
	seeking bool       // the file is invalid at HEAD and so was each version yet
	settled bool       // the commit that added it, or took it away, was reached
}

// side is the part of a commit's tree that matters.
type side struct {
	rootID, secretsID hash
	root, secrets     []byte
	problem           *FileError // secrets is something else than a folder
}

// load works out the index of head. Where base lies on head's first-parent
// line the cost is in proportion to what happened since; else it is that of the
// whole history.
func load(objects *objects, repo string, head hash, base *index) (*index, error) {
	if head.isZero() {
		return emptyIndex(), nil
	}
	w := &walk{reader: objects.reader(), repo: repo, base: base, touched: make(map[string]*touch)}
	if base != nil && base.head.isZero() {
		w.base = nil
	}
	return w.run(head)
}

func (w *walk) run(head hash) (*index, error) {
	result := &index{head: head}
	var top side
	names, reached := -1, false
	err := w.line(head, func(id hash) bool {
		reached = w.base != nil && id == w.base.head
		return reached || w.base == nil && w.settled == names
	}, func(id hash, c commit, here, there side) error {
		if id == head {
			top, names = here, countEntries(here.secrets)
			result.time, result.root, result.secrets = c.time, here.root, here.secrets
		}
		return here.diff(there, id, func(name []byte, before, after treeEntry) error {
			return w.touch(id, c.time, name, before, after)
		})
	})
	if err != nil {
		return nil, err
	}
	result.snapshot = w.assemble(head, reached, top.problem)
	return result, nil
}

// line goes along the first parents from head, which must not be where it is to
// stop, and shows of each commit its own side and that of its parent; of none
// where history begins.
func (w *walk) line(head hash, stop func(hash) bool, visit func(id hash, c commit, here, there side) error) error {
	c, err := w.commit(head)
	if err != nil {
		return err
	}
	here, err := w.side(c.tree, side{})
	if err != nil {
		return err
	}
	for at := head; !stop(at); {
		var parent commit
		var there side
		if !c.parent.isZero() {
			parent, err = w.commit(c.parent)
			switch {
			case errors.Is(err, errMissing) && w.shallow(at):
				c.parent = hash{}
			case err != nil:
				return err
			default:
				if there, err = w.side(parent.tree, here); err != nil {
					return err
				}
			}
		}
		if err := visit(at, c, here, there); err != nil {
			return err
		}
		if c.parent.isZero() {
			return nil
		}
		at, c, here = c.parent, parent, there
	}
	return nil
}

// diff shows the files under secrets/ that a commit changed with respect to
// its parent.
func (s side) diff(parent side, id hash, changed func(name []byte, before, after treeEntry) error) error {
	if s.secretsID == parent.secretsID {
		return nil
	}
	var failed error
	err := diffTrees(parent.secrets, s.secrets, func(name []byte, before, after treeEntry) {
		if failed == nil {
			failed = changed(name, before, after)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("%s/ of commit %s: %w", Folder, id, err)
	}
	return nil
}

func (w *walk) commit(id hash) (commit, error) {
	content, err := w.reader.verified(id, kindCommit, maxObject)
	if err != nil {
		return commit{}, err
	}
	return parseCommit(id, content)
}

// side reads the trees of a commit, as far as they are not those of the one
// that was read before.
func (w *walk) side(rootID hash, known side) (side, error) {
	if rootID == known.rootID {
		return known, nil
	}
	root, err := w.reader.read(rootID, kindTree, maxObject)
	if err != nil {
		return side{}, err
	}
	s := side{rootID: rootID, root: root}
	e, _, _, ok, err := findInTree(root, Folder)
	switch {
	case err != nil:
		return side{}, fmt.Errorf("tree %s: %w", rootID, err)
	case !ok:
		return s, nil
	case !e.mode.isFolder():
		s.problem = &FileError{Path: Folder, Cause: "is " + describeMode(e.mode) + ", not a folder with definitions; replace it in Git"}
		return s, nil
	}
	s.secretsID = e.id
	if e.id == known.secretsID {
		s.secrets = known.secrets
		return s, nil
	}
	s.secrets, err = w.reader.read(e.id, kindTree, maxObject)
	return s, err
}

// shallow reports whether history was cut off on purpose below a commit.
func (w *walk) shallow(id hash) bool {
	list, err := readFile(w.reader.objects.fs, filepath.Join(w.repo, "shallow"), 64<<20)
	return err == nil && bytes.Contains(list, []byte(id.String()))
}

// touch takes note that a commit changed a file. The walk comes from the
// newest commit: the first touch of a name shows what stands at HEAD.
func (w *walk) touch(id hash, when time.Time, name []byte, before, after treeEntry) error {
	t := w.touched[string(name)]
	if t == nil {
		var err error
		if t, err = w.firstTouch(id, when, string(name), after); err != nil {
			return err
		}
		w.touched[string(name)] = t
		if t.settled { // gone at HEAD: no name to settle
			return nil
		}
	} else if t.seeking && !t.settled && after.mode != 0 {
		if v, err := readVersion(w.reader, string(name), after.mode, after.id); err != nil {
			return err
		} else if v.invalid == nil {
			t.entry.Definition, t.entry.Source, t.entry.source = v.definition, id.revision(), after.id
			t.seeking = false
		}
	}
	if before.mode == 0 && !t.settled {
		t.settled = true
		w.settled++
		if t.entry != nil {
			t.entry.Created = when
		}
	}
	return nil
}

func (w *walk) firstTouch(id hash, when time.Time, file string, at treeEntry) (*touch, error) {
	if at.mode == 0 {
		return &touch{settled: true}, nil
	}
	name, problem := definitionName(file, at.mode)
	if problem != nil {
		return &touch{problem: problem}, nil
	}
	e := &Entry{Name: name, Revision: id.revision(), Changed: when, blob: at.id, mode: at.mode}
	v, err := readVersion(w.reader, file, at.mode, at.id)
	if err != nil {
		return nil, err
	}
	if e.Invalid, e.content = v.invalid, v.content; v.invalid == nil {
		e.Definition, e.Source, e.source = v.definition, e.Revision, at.id
	}
	return &touch{entry: e, seeking: v.invalid != nil}, nil
}

// assemble makes the snapshot of head from what was touched and, where the
// walk reached it, what the base says of all else.
func (w *walk) assemble(head hash, reached bool, problem *FileError) *Snapshot {
	old := newSnapshot(hash{}, nil, nil)
	if reached {
		old = w.base.snapshot
	}
	changes := make(map[Name]*Entry)
	var problems []FileError
	touched := make(map[string]bool)
	for file := range w.touched {
		touched[definitionPath(file)] = true
	}
	for _, p := range old.problems {
		if p.Path != Folder && !touched[p.Path] {
			problems = append(problems, p)
		}
	}
	for file, t := range w.touched {
		if t.problem != nil {
			problems = append(problems, *t.problem)
		}
		name, notDefinition := definitionName(file, modeFile)
		if notDefinition != nil {
			continue
		}
		if was, ok := old.Get(name); ok && t.entry != nil && !t.settled {
			t.entry.Created = was.Created
			if t.seeking {
				t.entry.Definition, t.entry.Source, t.entry.source = was.Definition, was.Source, was.source
			}
		}
		changes[name] = t.entry
	}
	if problem != nil {
		problems = append(problems, *problem)
	}
	return newSnapshot(head, mergeEntries(old.entries, changes), sortByPath(problems))
}

func sortByName(entries []*Entry) {
	slices.SortFunc(entries, func(a, b *Entry) int { return strings.Compare(a.Name.s, b.Name.s) })
}

func sortByPath(problems []FileError) []FileError {
	slices.SortFunc(problems, func(a, b FileError) int { return strings.Compare(a.Path, b.Path) })
	return problems
}

// mergeEntries returns the entries with changes applied; nil stands for one
// that is gone.
func mergeEntries(entries []*Entry, changes map[Name]*Entry) []*Entry {
	names := slices.SortedFunc(maps.Keys(changes), func(a, b Name) int { return strings.Compare(a.s, b.s) })
	merged := make([]*Entry, 0, len(entries)+len(names))
	for _, name := range names {
		n, found := slices.BinarySearchFunc(entries, name.s, func(e *Entry, name string) int { return strings.Compare(e.Name.s, name) })
		merged = append(merged, entries[:n]...)
		if entries = entries[n:]; found {
			entries = entries[1:]
		}
		if e := changes[name]; e != nil {
			merged = append(merged, e)
		}
	}
	return append(merged, entries...)
}

// definitionPath returns the path of a file under secrets/ as it is reported.
func definitionPath(file string) string {
	return Folder + "/" + strings.ToValidUTF8(file, "\uFFFD")
}

// definitionName returns the name of the definition a file under secrets/ is
// for, or why it is for none.
func definitionName(file string, mode fileMode) (Name, *FileError) {
	path := definitionPath(file)
	if mode.isFolder() && !strings.HasSuffix(file, FileSuffix) {
		return Name{}, &FileError{Path: path, Cause: "is a folder; definitions lie directly in " + Folder + "/"}
	}
	name, err := nameOf(path)
	if err == nil && strings.Contains(file, "/") {
		err = &FileError{Path: path, Cause: "the tree is malformed: a name in it has a slash"}
	}
	if err != nil {
		return Name{}, asFileError(path, err)
	}
	return name, nil
}

// asFileError returns the first thing that is wrong with a file.
func asFileError(path string, err error) *FileError {
	var first *FileError
	if errors.As(err, &first) {
		return first
	}
	return &FileError{Path: path, Cause: err.Error()}
}

// version is a definition's file as it stood at some time.
type version struct {
	definition Definition
	invalid    *FileError // what is wrong with it, or nil
	content    []byte     // if it is worth keeping
}

// readVersion reads a version of a definition's file. What is wrong with the
// file is no error: that is for failures to read it.
func readVersion(r *reader, file string, mode fileMode, blob hash) (v version, err error) {
	path := Folder + "/" + file
	if !mode.isFile() {
		v.invalid = &FileError{Path: path, Cause: "is " + describeMode(mode) + "; replace it by a regular file"}
		return v, nil
	}
	content, err := r.verified(blob, kindBlob, MaxFileSize)
	if errors.Is(err, errTooLarge) {
		v.invalid = &FileError{Path: path, Cause: fmt.Sprintf("is larger than %d KiB", MaxFileSize>>10)}
		return v, nil
	} else if err != nil {
		return v, err
	}
	if v.definition, err = ParseDefinition(path, content); err != nil {
		v.invalid = asFileError(path, err)
	} else if len(content) <= keptContent {
		v.content = content
	}
	return v, nil
}

func describeMode(mode fileMode) string {
	switch mode & modeType {
	case modeFileOfType:
		return "a file"
	case modeFolder:
		return "a folder"
	case modeSymlink:
		return "a symbolic link"
	case modeSubmodule:
		return "a submodule"
	}
	return fmt.Sprintf("of unknown mode %o", mode)
}

func countEntries(raw []byte) (n int) {
	for {
		nul := bytes.IndexByte(raw, 0)
		if nul < 0 || nul+1+len(hash{}) > len(raw) {
			return n
		}
		raw = raw[nul+1+len(hash{}):]
		n++
	}
}
