package operation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/edit"
	"secretsync/gitstore/internal/draft"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/index"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func name(s string) definition.Name { return must(definition.ParseName(s)) }

func targets(places ...string) (list []definition.Target) {
	for _, p := range places {
		cluster, namespace, _ := strings.Cut(p, "/")
		namespace, secret, named := strings.Cut(namespace, "/")
		t := definition.Target{Cluster: must(definition.ParseClusterName(cluster)), Namespace: must(definition.ParseNamespace(namespace))}
		if named {
			t.SecretName = must(definition.ParseSecretName(secret))
		}
		list = append(list, t)
	}
	return list
}

func defined(n string, places ...string) definition.Definition {
	return must(definition.New(name(n), must(definition.ParseSecretPath("path/"+n)), targets(places...)))
}

func revision(n byte) catalog.Revision { return catalog.RevisionOf(object.Hash{n}) }

// stands is what the n-th commit left of a definition.
func stands(n byte, d definition.Definition) *catalog.Entry {
	return &catalog.Entry{
		Name: d.Name, Definition: d, Revision: revision(n), Source: revision(n), Content: edit.Encode(d),
		Stored: catalog.Stored{Mode: filemode.Regular, Blob: object.Hash{n}},
	}
}

// before is what every case begins with: alpha holds x and beta holds y, of four that are allowed.
func before() *draft.Draft {
	broken := stands(3, defined("broken"))
	broken.Invalid = &definition.FileError{Path: broken.Name.String(), Cause: "is no definition"}
	return onTopOf(stands(1, defined("alpha", "c/n/x")), stands(2, defined("beta", "c/n/y")), broken)
}

func onTopOf(entries ...*catalog.Entry) *draft.Draft {
	s := catalog.NewSnapshot(object.Hash{9}, entries, nil, 0)
	return draft.New(&index.State{Head: object.Hash{9}, Snapshot: s}, pack.NewBuilder(), draft.NewClaims(s), func(object.Hash) ([]byte, error) {
		return nil, errors.New("nothing is on a disk here")
	})
}

var four = Limit{Tenant: "acme", Definitions: 4}

// undone is what commit 7, which left a file as the n-th commit did, is undone by.
func undone(n byte, d definition.Definition) Undone {
	return Undone{
		Commit: revision(7), Subject: "Seven", Left: catalog.Stored{Mode: filemode.Regular, Blob: object.Hash{n}},
		Before: catalog.Stored{Mode: filemode.Regular, Blob: object.Hash{8}}, Content: edit.Encode(d), Definition: d,
	}
}

func TestAWriteIsJudgedAsAWhole(t *testing.T) {
	to := func(places ...string) definition.Change { return definition.SyncTo(targets(places...)) }
	added := func(n byte, d definition.Definition) Undone {
		u := undone(n, d)
		u.Before = catalog.Stored{}
		return u
	}
	for what, c := range map[string]struct {
		how     Handling
		write   []Operation
		edits   string // the files, with + for one that is new and - for one that goes
		held    string
		refused error
		which   int // of the operations, where there are several
	}{
		"a creation":                                  {Lenient, []Operation{Creation(defined("new", "c/n/z"))}, "+new", "", nil, 0},
		"a creation of what is there":                 {Lenient, []Operation{Creation(defined("alpha"))}, "", "", failure.ErrExists, 0},
		"a creation where a file is broken":           {Lenient, []Operation{Creation(defined("broken"))}, "", "", failure.ErrExists, 0},
		"a creation too many":                         {Lenient, []Operation{Creation(defined("one")), Creation(defined("two"))}, "", "", failure.ErrLimit, 1},
		"a creation in the place of another":          {Lenient, []Operation{Creation(defined("one")), Creation(defined("two")), Deletion(name("beta"), Unconditional())}, "+one +two -beta", "", nil, 0},
		"a patch":                                     {Lenient, []Operation{PatchOf(name("alpha"), OneOf(revision(1)), to("c/n/z"))}, "alpha", "", nil, 0},
		"a patch that says what is so":                {Lenient, []Operation{PatchOf(name("alpha"), Unconditional(), to("c/n/x"))}, "", "", nil, 0},
		"a patch of another revision":                 {Lenient, []Operation{PatchOf(name("alpha"), OneOf(revision(2)), to("c/n/z"))}, "", "", failure.ErrPrecondition, 0},
		"a patch of none of no revisions":             {Lenient, []Operation{PatchOf(name("alpha"), OneOf(), to("c/n/z"))}, "", "", failure.ErrPrecondition, 0},
		"a patch of what is not there":                {Lenient, []Operation{PatchOf(name("none"), Exists(), to())}, "", "", failure.ErrNotFound, 0},
		"a patch of a file that is broken":            {Lenient, []Operation{PatchOf(name("broken"), Exists(), to())}, "", "", failure.ErrConflict, 0},
		"a deletion of a file that is broken":         {Lenient, []Operation{Deletion(name("broken"), OneOf(revision(3)))}, "-broken", "", nil, 0},
		"a deletion of another revision":              {Lenient, []Operation{Deletion(name("beta"), OneOf(revision(1)))}, "", "", failure.ErrPrecondition, 0},
		"a target that another one holds":             {Lenient, []Operation{Creation(defined("new", "c/n/y"))}, "+new", "new: c/n/y by beta", nil, 0},
		"the same, strictly":                          {Strict, []Operation{Creation(defined("new", "c/n/y"))}, "", "", failure.ErrConflict, 0},
		"two that swap their targets, strictly":       {Strict, []Operation{PatchOf(name("alpha"), Exists(), to("c/n/y")), PatchOf(name("beta"), Exists(), to("c/n/x"))}, "alpha beta", "", nil, 0},
		"one that takes what the next one lets go":    {Strict, []Operation{Creation(defined("new", "c/n/y")), Deletion(name("beta"), Exists())}, "+new -beta", "", nil, 0},
		"the second of two that can't be made":        {Lenient, []Operation{Deletion(name("alpha"), Exists()), Deletion(name("none"), Exists())}, "", "", failure.ErrNotFound, 1},
		"undoing what stands as it was left":          {Lenient, []Operation{Restoration(name("alpha"), Unconditional(), undone(1, defined("alpha", "c/n/w")))}, "alpha", "", nil, 0},
		"undoing what is undone already":              {Lenient, []Operation{Restoration(name("alpha"), Unconditional(), Undone{Before: catalog.Stored{Mode: filemode.Regular, Blob: object.Hash{1}}})}, "", "", nil, 0},
		"undoing what was changed since":              {Lenient, []Operation{Restoration(name("alpha"), Unconditional(), undone(5, defined("alpha")))}, "", "", failure.ErrConflict, 0},
		"undoing a creation":                          {Lenient, []Operation{Restoration(name("alpha"), Exists(), added(1, definition.Definition{}))}, "-alpha", "", nil, 0},
		"undoing a removal":                           {Lenient, []Operation{Restoration(name("gone"), Absent(), Undone{Before: undone(1, defined("gone")).Before, Definition: defined("gone")})}, "+gone", "", nil, 0},
		"undoing a removal of what is there by now":   {Lenient, []Operation{Restoration(name("alpha"), Absent(), Undone{Before: undone(1, defined("alpha")).Before})}, "", "", failure.ErrPrecondition, 0},
		"undoing a removal of what ought to be there": {Lenient, []Operation{Restoration(name("gone"), Exists(), Undone{Before: undone(1, defined("gone")).Before})}, "", "", failure.ErrPrecondition, 0},
	} {
		t.Run(what, func(t *testing.T) {
			w := must(Together(c.how, c.write))
			for range 2 { // it is judged anew when others were faster
				d := before()
				edits, written, err := w.Judge(d, four)
				if !errors.Is(err, c.refused) || err != nil && c.refused == nil {
					t.Fatalf("%v, want %v", err, c.refused)
				}
				if failed, ok := errors.AsType[*Error](err); ok != (err != nil && len(c.write) > 1) || ok && failed.Index != c.which {
					t.Errorf("%v does not name operation %d alone", err, c.which)
				}
				if got := said(edits); got != c.edits {
					t.Errorf("the files are %q, want %q", got, c.edits)
				}
				if got := held(written); got != c.held {
					t.Errorf("held is %q, want %q", got, c.held)
				}
				if wanted := d.Held(name("other"), []draft.FileEdit{{Name: name("other"), Mode: filemode.Regular, Definition: defined("other", "c/n/x", "c/n/y")}}); len(slices.Collect(keys(wanted))) != 2 {
					t.Error("the claims are others than before, though nothing was written")
				}
			}
		})
	}
}

func keys[K, V any](pairs func(func(K, V) bool)) func(func(K) bool) {
	return func(yield func(K) bool) { pairs(func(k K, _ V) bool { return yield(k) }) }
}

func said(e draft.Edit) string {
	var files []string
	for _, f := range e.Files {
		sign := ""
		switch {
		case f.Mode == 0:
			sign = "-"
		case f.Added:
			sign = "+"
		}
		files = append(files, sign+f.Name.String())
	}
	return strings.Join(files, " ")
}

func held(written []Written) string {
	var all []string
	for _, w := range written {
		for _, claim := range w.Held {
			all = append(all, fmt.Sprintf("%s: %s by %s", w.Name, claim.Place, claim.Holder))
		}
	}
	return strings.Join(all, ", ")
}

func TestNoTwoOperationsAreOnOneDefinition(t *testing.T) {
	_, err := Together(Lenient, []Operation{Creation(defined("new")), Deletion(name("alpha"), Exists()), Deletion(name("new"), Exists())})
	if failed, ok := errors.AsType[*Error](err); !ok || failed.Index != 2 || failed.Verb != "delete" || !errors.Is(err, definition.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// What was worked out ahead counts for the entry that it was worked out for, and no other.
func TestAPatchThatWasWorkedOutAheadIsTheSame(t *testing.T) {
	patch := func() *Write {
		return must(Together(Lenient, []Operation{PatchOf(name("alpha"), Unconditional(), definition.SyncTo(targets("c/n/z")))}))
	}
	content := func(w *Write, d *draft.Draft) string {
		t.Helper()
		e, _, err := w.Judge(d, four)
		if err != nil || len(e.Files) != 1 {
			t.Fatalf("%+v, %v", e, err)
		}
		return string(e.Files[0].Content)
	}
	d := before()
	ahead, reads := patch(), 0
	ahead.EditAhead(d.Base.Snapshot, func(e *catalog.Entry) ([]byte, error) { reads++; return e.Content, nil })
	if got, want := content(ahead, d), content(patch(), before()); got != want || reads != 1 {
		t.Errorf("after %d reads it is\n%s\nwant\n%s", reads, got, want)
	}
	changed := stands(5, defined("alpha"))
	changed.Content = append([]byte("# by somebody else\n"), changed.Content...)
	if got := content(ahead, onTopOf(changed)); !strings.HasPrefix(got, "# by somebody else\n") {
		t.Errorf("what was written meanwhile is lost:\n%s", got)
	}
	unread := patch()
	unread.EditAhead(d.Base.Snapshot, func(*catalog.Entry) ([]byte, error) { return nil, errors.New("it can't be read now") })
	if got, want := content(unread, before()), content(patch(), before()); got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
}
