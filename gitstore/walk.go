package gitstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// A walk goes from a commit along the first parents and finds out for each
// file which commit changed it last and which one added it.
type walk struct {
	git    *gitdir.Repository
	reader *gitdir.Reader
	most   int    // definitions that are allowed; what a walk may cost goes by it
	base   *state // may be nil: what is known already of some commit

	read map[object.Hash]blobRead // what was read of files, by blob

	secrets object.Tree // the tree at HEAD
	census  *census     // of it, if one is needed
	names   int         // at HEAD that are looked for
	touched map[string]*touch
	settled int // of them, for which nothing more has to be looked for
}

// newWalk returns a walk that ends soon after ctx, and lets others have their
// turn.
func newWalk(ctx context.Context, turn *turn, git *gitdir.Repository, most int) *walk {
	return newWalkWithin(ctx, turn, git, most, workPerWalk(most))
}

// newWalkWithin is newWalk for one that may cost so much.
func newWalkWithin(ctx context.Context, turn *turn, git *gitdir.Repository, most int, work int64) *walk {
	w := &walk{git: git, reader: git.Reader(ctx, work), most: most, touched: make(map[string]*touch)}
	w.reader.Between(func() error { return turn.pass(ctx) })
	return w
}

// touch is what the walk found out about one file. The walk comes from the newest
// commit, and each commit that changed the file moves it on:
//
//	state       since                                   what the next commit does
//	----------  --------------------------------------  ---------------------------
//	untouched   the walk began                          its version, which stands at
//	                                                    HEAD, is read: touched if it
//	                                                    is valid, else seeking;
//	                                                    settled if the file is gone
//	touched     the revision is known, and a valid      settled if it added the file
//	            version
//	seeking     the revision is known; no version was   its version is read: touched
//	            valid yet                               if it is valid. Settled if it
//	                                                    added the file
//	settled     the commit that added the file was      nothing
//	            met, or the file is gone at HEAD
//
// The walk ends where history begins; or without a base, when all names at HEAD
// are settled; or with one, when the base is reached. Then the base says what is
// still open: of a file that is touched, when it was added; of one that is
// seeking, its last valid version, too; and everything of one that is untouched.
type touch struct {
	entry   *Entry                // nil where the file is no definition's or is gone
	problem *definition.FileError // what to say of a file that is no definition's
	seeking bool                  // the file is invalid at HEAD and so was each version yet
	settled bool                  // the commit that added it, or took it away, was reached
}

// side is the part of a commit's tree that matters.
type side struct {
	rootID, secretsID object.Hash
	root, secrets     object.Tree
	problem           *definition.FileError // secrets is something else than a folder
}

func (w *walk) run(head object.Hash) (*state, error) {
	result := &state{head: head}
	var top side
	w.names = -1
	reached := false
	err := w.line(head, func(id object.Hash) bool {
		reached = w.base != nil && id == w.base.head
		return reached || w.base == nil && w.settled == w.names
	}, func(id object.Hash, c object.Commit, here, there side) error {
		if id == head {
			top = here
			result.time = c.Time
			result.keepTrees(here, w.most)
			if err := w.begin(here.secrets); err != nil {
				return err
			}
		}
		return w.diff(here, there, id, func(name []byte, before, after object.TreeEntry) error {
			return w.touch(id, c.Time, name, before, after)
		})
	})
	if err != nil {
		return nil, err
	}
	var complete bool
	if result.snapshot, complete = w.assemble(head, reached, top.problem); complete {
		result.continues = reached
		return result, nil
	}
	// What is served now was in surplus at the base, which knows nothing of it.
	base := w.base.snapshot
	w.base, w.census, w.touched, w.settled = nil, nil, make(map[string]*touch), 0
	if result, err = w.run(head); err != nil {
		return nil, err
	}
	result.continues = reached
	result.snapshot.adopt(base)
	result.continues = reached
	return result, nil
}

// begin is told what stands at HEAD.
func (w *walk) begin(secrets object.Tree) error {
	w.secrets, w.names = secrets, secrets.Count()
	if w.names > w.most || w.base != nil && w.base.snapshot.crowded(w.most) {
		return w.takeCensus()
	}
	return nil
}

// takeCensus has the walk keep of the names it meets those that are served.
func (w *walk) takeCensus() (err error) {
	if w.census, err = takeCensus(w.reader, w.secrets, w.most); err != nil {
		return err
	}
	w.names = len(w.census.served)
	maps.DeleteFunc(w.touched, func(file string, _ *touch) bool { return !w.census.served[file] })
	w.settled = 0
	for _, t := range w.touched {
		if t.settled {
			w.settled++
		}
	}
	return nil
}

// line goes along the first parents from head, which must not be where it is to
// stop, and shows of each commit its own side and that of its parent; of none
// where history begins.
func (w *walk) line(head object.Hash, stop func(object.Hash) bool, visit func(id object.Hash, c object.Commit, here, there side) error) error {
	c, err := w.commit(head)
	if err != nil {
		return err
	}
	here, err := w.side(c.Tree, side{})
	if err != nil {
		return err
	}
	for at := head; !stop(at); {
		w.reader.Allow(workPerCommit(w.most))
		var parent object.Commit
		var there side
		if !c.Parent.IsZero() {
			parent, err = w.commit(c.Parent)
			cut := false
			if errors.Is(err, object.ErrMissing) {
				var failed error
				cut, failed = w.git.Shallow(at)
				err = errors.Join(err, failed)
			}
			switch {
			case cut:
				c.Parent = object.Hash{}
			case err != nil:
				return err
			default:
				if there, err = w.side(parent.Tree, here); err != nil {
					return err
				}
			}
		}
		if err := visit(at, c, here, there); err != nil {
			return err
		}
		if c.Parent.IsZero() {
			return nil
		}
		at, c, here = c.Parent, parent, there
	}
	return nil
}

// diff shows the files under secrets/ that a commit changed with respect to
// its parent.
func (w *walk) diff(here, parent side, id object.Hash, changed func(name []byte, before, after object.TreeEntry) error) error {
	if here.secretsID == parent.secretsID {
		return nil
	}
	err := w.reader.Spend(int64(len(here.secrets) + len(parent.secrets)))
	if err != nil {
		return err
	}
	err = object.DiffTrees(parent.secrets, here.secrets, func(name []byte, before, after object.TreeEntry) error {
		if err := w.reader.Spend(workPerName); err != nil {
			return err
		}
		return changed(name, before, after)
	})
	if err != nil {
		return fmt.Errorf("%s/ of commit %s: %w", definition.Folder, id, err)
	}
	return nil
}

func (w *walk) commit(id object.Hash) (object.Commit, error) {
	content, err := w.reader.ReadVerified(id, object.KindCommit, pack.MaxCommit)
	if err != nil {
		return object.Commit{}, err
	}
	return object.ParseCommit(id, content)
}

// side reads the trees of a commit, as far as they are not those of the one
// that was read before.
func (w *walk) side(rootID object.Hash, known side) (side, error) {
	if rootID == known.rootID {
		return known, nil
	}
	root, err := w.reader.Read(rootID, object.KindTree, pack.MaxObject)
	if err != nil {
		return side{}, err
	}
	s := side{rootID: rootID, root: root}
	e, ok, err := s.root.Find(definition.Folder)
	switch {
	case err != nil:
		return side{}, fmt.Errorf("tree %s: %w", rootID, err)
	case !ok:
		return s, nil
	case !definition.IsFolder(e.Mode):
		s.problem = &definition.FileError{Path: definition.Folder, Cause: "is " + definition.DescribeMode(e.Mode) + ", not a folder with definitions; replace it in Git"}
		return s, nil
	}
	s.secretsID = e.ID
	if e.ID == known.secretsID {
		s.secrets = known.secrets
		return s, nil
	}
	s.secrets, err = w.reader.Read(e.ID, object.KindTree, pack.MaxObject)
	return s, err
}

// touch takes note that a commit changed a file; see the table at the type.
func (w *walk) touch(id object.Hash, when time.Time, name []byte, before, after object.TreeEntry) error {
	t := w.touched[string(name)]
	if t == nil {
		// Of a tree without census, what is touched but not there is what may
		// be many.
		if w.census == nil && len(w.touched) >= 2*max(w.most, 1000) {
			if err := w.takeCensus(); err != nil {
				return err
			}
		}
		if w.census != nil && !w.census.served[string(name)] {
			return nil
		}
		var err error
		if t, err = w.firstTouch(id, when, string(name), after); err != nil {
			return err
		}
		w.touched[string(name)] = t
		if t.settled { // gone at HEAD: no name to settle
			return nil
		}
	} else if t.seeking && !t.settled && after.Mode != 0 {
		if v, err := w.version(string(name), after.Mode, after.ID); err != nil {
			return err
		} else if v.invalid == nil {
			t.entry.Definition, t.entry.Source, t.entry.sourceBlob = v.definition, revisionOf(id), after.ID
			t.seeking = false
		}
	}
	if before.Mode == 0 && !t.settled {
		t.settled = true
		w.settled++
		if t.entry != nil {
			t.entry.Created = when
		}
	}
	return nil
}

func (w *walk) firstTouch(id object.Hash, when time.Time, file string, at object.TreeEntry) (*touch, error) {
	if at.Mode == 0 {
		return &touch{settled: true}, nil
	}
	name, problem := definition.NameOfFile(file, at.Mode)
	if problem != nil {
		return &touch{problem: problem}, nil
	}
	e := &Entry{Name: name, Revision: revisionOf(id), Changed: when, blob: at.ID, mode: at.Mode}
	v, err := w.version(file, at.Mode, at.ID)
	if err != nil {
		return nil, err
	}
	if e.Invalid, e.content = v.invalid, v.content; v.invalid == nil {
		e.Definition, e.Source, e.sourceBlob = v.definition, e.Revision, at.ID
	}
	return &touch{entry: e, seeking: v.invalid != nil}, nil
}

// assemble makes the snapshot of head from what was touched and, where the
// walk reached it, what the base says of all else. It is not complete if that
// is not enough.
func (w *walk) assemble(head object.Hash, reached bool, problem *definition.FileError) (s *Snapshot, complete bool) {
	old := newSnapshot(object.Hash{}, nil, nil)
	if reached {
		old = w.base.snapshot
	}
	changes := make(map[definition.Name]*Entry)
	complete = true
	for file, t := range w.touched {
		name, notDefinition := definition.NameOfFile(file, filemode.Regular)
		if notDefinition != nil {
			continue
		}
		if was, ok := old.Get(name); ok && t.entry != nil && !t.settled {
			t.entry.Created = was.Created
			if t.seeking {
				t.entry.Definition, t.entry.Source, t.entry.sourceBlob = was.Definition, was.Source, was.sourceBlob
			}
		} else if !ok && !t.settled && reached {
			complete = false
		}
		changes[name] = t.entry
	}
	problems := w.problems(old)
	surplus := 0
	if w.census != nil {
		problems, surplus = w.census.problems, w.census.surplus
		known := 0
		for _, e := range old.entries {
			file := e.Name.String() + definition.FileSuffix
			if !w.census.served[file] {
				changes[e.Name] = nil
			} else if w.touched[file] == nil {
				known++
			}
		}
		complete = complete && (!reached || known+len(w.touched) == len(w.census.served))
	}
	if problem != nil {
		problems = append(problems, *problem)
	}
	s = newSnapshot(head, mergeEntries(old.entries, changes), sortByPath(problems))
	s.surplus = surplus
	return s, complete
}

// problems returns what there is to say of files that are no definition's, as
// far as that follows from what was touched and what was said before.
func (w *walk) problems(old *Snapshot) (problems []definition.FileError) {
	touched := make(map[string]bool)
	for file, t := range w.touched {
		touched[definition.PathOfFile(file)] = true
		if t.problem != nil {
			problems = append(problems, *t.problem)
		}
	}
	for _, p := range old.problems {
		if p.Path != definition.Folder && !touched[p.Path] {
			problems = append(problems, p)
		}
	}
	return problems
}
