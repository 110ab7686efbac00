package index

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/history"
	"secretsync/gitstore/internal/turns"
)

// A Walk goes from a commit along the first parents and finds out for each
// file which commit changed it last and which one added it.
type Walk struct {
	// Commits are read by the same reader: what they cost, the walk has spent.
	Commits *history.Commits

	reader *gitdir.Reader
	most   int    // definitions that are allowed; what a walk may cost goes by it
	base   *State // may be nil: what is known already of some commit

	read map[object.Hash]Blob // what was read of files, by blob

	secrets object.Tree // the tree at HEAD
	census  *census     // of it, if one is needed
	names   int         // at HEAD that are looked for
	touched map[string]*touch
	settled int // of them, for which nothing more has to be looked for
}

// NewWalk returns a walk that ends soon after ctx, and lets others have their
// turn.
func NewWalk(ctx context.Context, turn *turns.Turn, git *gitdir.Repository, most int) *Walk {
	return NewWalkWithin(ctx, turn, git, most, budget.PerWalk(most))
}

// NewWalkWithin is [NewWalk] for one that may cost so much.
func NewWalkWithin(ctx context.Context, turn *turns.Turn, git *gitdir.Repository, most int, work int64) *Walk {
	reader := git.Reader(ctx, work)
	reader.Between(func() error { return turn.Pass(ctx) })
	return &Walk{reader: reader, Commits: history.New(git, reader), most: most, touched: make(map[string]*touch)}
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
	entry   *catalog.Entry        // nil where the file is no definition's or is gone
	problem *definition.FileError // what to say of a file that is no definition's
	seeking bool                  // the file is invalid at HEAD and so was each version yet
	settled bool                  // the commit that added it, or took it away, was reached
}

// Side is the part of a commit's tree that matters.
type Side struct {
	rootID, secretsID object.Hash
	Root, secrets     object.Tree
	problem           *definition.FileError // secrets is something else than a folder
}

func (w *Walk) run(head object.Hash) (*State, error) {
	result := &State{Head: head}
	var top Side
	w.names = -1
	reached := false
	err := w.Line(head, func(id object.Hash) bool {
		reached = w.base != nil && id == w.base.Head
		return reached || w.base == nil && w.settled == w.names
	}, func(id object.Hash, c object.Commit, here, there Side) error {
		if id == head {
			top = here
			result.Time = c.Time
			result.keepTrees(here, w.most)
			if err := w.begin(here.secrets); err != nil {
				return err
			}
		}
		return w.Diff(here, there, id, func(name []byte, before, after object.TreeEntry) error {
			return w.touch(id, c.Time, name, before, after)
		})
	})
	if err != nil {
		return nil, err
	}
	var complete bool
	if result.Snapshot, complete = w.assemble(head, reached, top.problem); complete {
		result.Continues = reached
		return result, nil
	}
	// What is served now was in surplus at the base, which knows nothing of it.
	base := w.base.Snapshot
	w.base, w.census, w.touched, w.settled = nil, nil, make(map[string]*touch), 0
	if result, err = w.run(head); err != nil {
		return nil, err
	}
	result.Continues = reached
	adopt(result.Snapshot.Entries(), base)
	result.Continues = reached
	return result, nil
}

// adopt keeps the entries of an older snapshot as far as they are the same: see
// [catalog.Snapshot.Entries].
func adopt(entries []*catalog.Entry, old *catalog.Snapshot) {
	for i, e := range entries {
		if was, ok := old.Get(e.Name); ok && was.Revision == e.Revision && was.Source == e.Source && was.Created.Equal(e.Created) {
			entries[i] = was
		}
	}
}

// begin is told what stands at HEAD.
func (w *Walk) begin(secrets object.Tree) error {
	w.secrets, w.names = secrets, secrets.Count()
	if w.names > w.most || w.base != nil && crowded(w.base.Snapshot, w.most) {
		return w.takeCensus()
	}
	return nil
}

// takeCensus has the walk keep of the names it meets those that are served.
func (w *Walk) takeCensus() (err error) {
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

// Line goes along the first parents from head, which must not be where it is to
// stop, and shows of each commit its own side and that of its parent; of none
// where history begins.
func (w *Walk) Line(head object.Hash, stop func(object.Hash) bool, visit func(id object.Hash, c object.Commit, here, there Side) error) error {
	c, err := w.commit(head)
	if err != nil {
		return err
	}
	here, err := w.side(c.Tree, Side{})
	if err != nil {
		return err
	}
	for at := head; !stop(at); {
		w.reader.Allow(budget.PerCommit(w.most))
		var parent object.Commit
		var there Side
		if !c.Parent.IsZero() {
			parent, err = w.commit(c.Parent)
			cut := false
			if errors.Is(err, object.ErrMissing) {
				var failed error
				cut, failed = w.Commits.Shallow(at)
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

// Diff shows the files under secrets/ that a commit changed with respect to
// its parent.
func (w *Walk) Diff(here, parent Side, id object.Hash, changed func(name []byte, before, after object.TreeEntry) error) error {
	if here.secretsID == parent.secretsID {
		return nil
	}
	err := w.reader.Spend(int64(len(here.secrets) + len(parent.secrets)))
	if err != nil {
		return err
	}
	err = object.DiffTrees(parent.secrets, here.secrets, func(name []byte, before, after object.TreeEntry) error {
		if err := w.reader.Spend(budget.PerName); err != nil {
			return err
		}
		return changed(name, before, after)
	})
	if err != nil {
		return fmt.Errorf("%s/ of commit %s: %w", definition.Folder, id, err)
	}
	return nil
}

func (w *Walk) commit(id object.Hash) (object.Commit, error) {
	_, c, err := w.Commits.Read(id)
	return c, err
}

// side reads the trees of a commit, as far as they are not those of the one
// that was read before.
func (w *Walk) side(rootID object.Hash, known Side) (Side, error) {
	if rootID == known.rootID {
		return known, nil
	}
	root, err := w.reader.Read(rootID, object.KindTree, pack.MaxObject)
	if err != nil {
		return Side{}, err
	}
	s := Side{rootID: rootID, Root: root}
	e, ok, err := s.Root.Find(definition.Folder)
	switch {
	case err != nil:
		return Side{}, fmt.Errorf("tree %s: %w", rootID, err)
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
func (w *Walk) touch(id object.Hash, when time.Time, name []byte, before, after object.TreeEntry) error {
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
		if v, err := w.Version(string(name), after.Mode, after.ID); err != nil {
			return err
		} else if v.Invalid == nil {
			t.entry.Definition, t.entry.Source, t.entry.SourceBlob = v.Definition, catalog.RevisionOf(id), after.ID
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

func (w *Walk) firstTouch(id object.Hash, when time.Time, file string, at object.TreeEntry) (*touch, error) {
	if at.Mode == 0 {
		return &touch{settled: true}, nil
	}
	name, problem := definition.NameOfFile(file, at.Mode)
	if problem != nil {
		return &touch{problem: problem}, nil
	}
	e := &catalog.Entry{Name: name, Revision: catalog.RevisionOf(id), Changed: when, Stored: catalog.Stored{Mode: at.Mode, Blob: at.ID}}
	v, err := w.Version(file, at.Mode, at.ID)
	if err != nil {
		return nil, err
	}
	if e.Invalid, e.Content = v.Invalid, v.content; v.Invalid == nil {
		e.Definition, e.Source, e.SourceBlob = v.Definition, e.Revision, at.ID
	}
	return &touch{entry: e, seeking: v.Invalid != nil}, nil
}

// assemble makes the snapshot of head from what was touched and, where the
// walk reached it, what the base says of all else. It is not complete if that
// is not enough.
func (w *Walk) assemble(head object.Hash, reached bool, problem *definition.FileError) (s *catalog.Snapshot, complete bool) {
	old := catalog.NewSnapshot(object.Hash{}, nil, nil, 0)
	if reached {
		old = w.base.Snapshot
	}
	changes := make(map[definition.Name]*catalog.Entry)
	complete = true
	for file, t := range w.touched {
		name, notDefinition := definition.NameOfFile(file, filemode.Regular)
		if notDefinition != nil {
			continue
		}
		if was, ok := old.Get(name); ok && t.entry != nil && !t.settled {
			t.entry.Created = was.Created
			if t.seeking {
				t.entry.Definition, t.entry.Source, t.entry.SourceBlob = was.Definition, was.Source, was.SourceBlob
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
		for _, e := range old.Entries() {
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
	return catalog.NewSnapshot(head, mergeEntries(old.Entries(), changes), sortByPath(problems), surplus), complete
}

// problems returns what there is to say of files that are no definition's, as
// far as that follows from what was touched and what was said before.
func (w *Walk) problems(old *catalog.Snapshot) (problems []definition.FileError) {
	touched := make(map[string]bool)
	for file, t := range w.touched {
		touched[definition.PathOfFile(file)] = true
		if t.problem != nil {
			problems = append(problems, *t.problem)
		}
	}
	for _, p := range old.Problems() {
		if p.Path != definition.Folder && !touched[p.Path] {
			problems = append(problems, p)
		}
	}
	return problems
}
