package gitstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
)

func heldBy(written []Written) string {
	var all []string
	for _, w := range written {
		for _, claim := range w.Held {
			all = append(all, fmt.Sprintf("%s: %s by %s", w.Name, claim.Place, claim.Holder))
		}
	}
	return strings.Join(all, ", ")
}

func TestATargetThatAnotherHoldsIsLetInAndWaits(t *testing.T) {
	s := newStory(t)
	alpha := s.create(defined("alpha", "production/web/x"))
	beta := s.create(defined("beta", "production/web/y"))
	apply := func(want string, how Handling, ops ...Operation) {
		t.Helper()
		written, err := s.repo.Apply(t.Context(), somebody, how, ops...)
		if err != nil {
			t.Fatal(err)
		}
		if got := heldBy(written); got != want {
			t.Errorf("held is %q; want %q", got, want)
		}
	}
	t.Log("two that swap their targets one after the other")
	apply("alpha: production/web/y by beta", Lenient, PatchOf(alpha.Name, Unconditional(), definition.SyncTo(targets("production/web/y"))))
	apply("", Strict, PatchOf(beta.Name, Unconditional(), definition.SyncTo(targets("production/web/x"))))
	apply("", Strict, PatchOf(alpha.Name, Unconditional(), definition.SyncTo(targets("production/web/y", "production/web/z"))))

	t.Log("the holder stays the holder when it is changed, also under Strict, and who waits goes on waiting")
	apply("delta: production/web/x by beta", Lenient, Creation(defined("delta", "production/web/x")))
	apply("", Strict, PatchOf(beta.Name, Unconditional(), definition.SyncTo(targets("production/web/x", "production/web/w"))))
	apply("delta: production/web/x by beta", Lenient, PatchOf(name("delta"), Unconditional(), definition.SyncTo(targets("production/web/v", "production/web/x"))))
	_, err := s.repo.Apply(t.Context(), somebody, Strict, PatchOf(name("delta"), Unconditional(), definition.SyncTo(targets("production/web/v", "production/web/x"))))
	if claim, ok := errors.AsType[*ClaimError](err); !ok || claim.Holder != beta.Name || !errors.Is(err, ErrConflict) {
		t.Errorf("under Strict the one that waits: %v", err)
	}
	t.Log("one that is renamed: the new one is made, then the old one goes")
	s.must(s.repo.Delete(t.Context(), somebody, beta.Name, Unconditional()))
	apply("", Strict, PatchOf(name("delta"), Unconditional(), definition.SyncTo(targets("production/web/x"))))
	s.fsck()
}

func TestARefusedWriteLeavesTheClaimsAsTheyWere(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha", "production/web/x"))
	s.create(defined("beta", "production/web/x"))
	s.create(defined("delta", "production/web/x"))
	holders := func() []definition.Name {
		return s.repo.claims.holders[targets("production/web/x")[0].Place(name("alpha"))]
	}
	before := slices.Clone(holders())
	for range 3 {
		_, err := s.repo.Apply(t.Context(), somebody, Strict,
			Deletion(name("alpha"), Unconditional()), PatchOf(name("beta"), Unconditional(), definition.SyncTo(nil)), Creation(defined("epsilon", "production/web/x")))
		if !errors.Is(err, ErrConflict) {
			t.Fatal(err)
		}
	}
	if !slices.Equal(holders(), before) {
		t.Errorf("%v claim the place; it was %v", holders(), before)
	}
}

func TestSeveralOperationsAreOneCommit(t *testing.T) {
	s := newStory(t)
	alpha := s.create(defined("alpha", "production/web/x"))
	beta := s.create(defined("beta", "production/web/y"))
	gone := s.create(defined("gone", "production/web/z"))
	same := s.create(defined("same", "production/web/u"))
	before := s.repo.Snapshot().Head()
	written, err := s.repo.Apply(t.Context(), somebody, Strict,
		PatchOf(alpha.Name, OneOf(alpha.Revision), definition.SyncTo(targets("production/web/y"))),
		PatchOf(beta.Name, OneOf(beta.Revision), definition.SyncTo(targets("production/web/x"))),
		Deletion(gone.Name, OneOf(gone.Revision)),
		PatchOf(same.Name, OneOf(same.Revision), definition.SyncTo(same.Definition.Sync)),
		Creation(defined("new", "production/web/z")),
	)
	if err != nil {
		t.Fatal(err)
	}
	head := s.repo.Snapshot().Head()
	if parent := s.git(s.gitDir(), "rev-parse", "main^"); parent != before.String() {
		t.Errorf("the commit before is %s; want %s: it is one", parent, before)
	}
	for i, want := range []Revision{head, head, {}, same.Revision, head} {
		w := written[i]
		if want.IsZero() != (w.Entry == nil) || w.Entry != nil && w.Entry.Revision != want {
			t.Errorf("%s was left as %+v; want it at %q", w.Name, w.Entry, want)
		}
		if e, _ := s.repo.Snapshot().Get(w.Name); e != w.Entry {
			t.Errorf("%s: the snapshot has another entry", w.Name)
		}
	}
	if e := written[0].Entry; e.Created != alpha.Created {
		t.Error("alpha was created anew")
	}
	const message = "Add new, change alpha and beta and remove gone\n\n- Sync alpha to 1 target\n- Sync beta to 1 target\n- Remove gone\n- Add new\n\nRequest-Id: req-1\nVia: secretsync api"
	if got := s.git(s.gitDir(), "log", "-1", "--format=%B"); got != message {
		t.Errorf("the message is\n%s\nwant\n%s", got, message)
	}
	events, _, err := s.repo.History(t.Context(), beta.Name, Revision{}, 10)
	if err != nil || len(events) != 2 || events[0].Revision != head || events[0].Via != ViaAPI {
		t.Errorf("history of beta: %+v, %v", events, err)
	}
	s.fsck()
	snapshot := s.repo.Snapshot()
	s.close()
	s.open()
	if changes := differences(snapshot, s.repo.Snapshot()); changes != "" {
		t.Errorf("read anew it is another: %s", changes)
	}
}

// differences says how two snapshots differ in what they tell, whoever read them.
func differences(a, b *Snapshot) string {
	say := func(s *Snapshot) (all string) {
		for _, e := range s.Entries() {
			all += fmt.Sprintln(e.Name, e.Revision, e.Created, e.Definition)
		}
		return all
	}
	if say(a) == say(b) {
		return ""
	}
	return say(a) + "\n" + say(b)
}

func TestOfSeveralOperationsNoneIsMadeIfOneCannotBe(t *testing.T) {
	s := newStory(t)
	s.close()
	s.openWith(Config{MaxDefinitions: 4})
	alpha := s.create(defined("alpha", "production/web/x"))
	beta := s.create(defined("beta", "production/web/y"))
	s.create(defined("broken"))
	c := s.clone()
	c.write("secrets/broken.yaml", "name: broken\nsecretPath: [\n")
	s.at(c.pushCommit("break one"))
	alphaOff := PatchOf(alpha.Name, OneOf(alpha.Revision), definition.SyncTo(nil))
	before := s.repo.Snapshot()
	for what, test := range map[string]struct {
		second Operation
		want   error
		says   string
	}{
		"a stale revision":          {PatchOf(beta.Name, OneOf(alpha.Revision), definition.SyncTo(nil)), ErrPrecondition, "operation 1 (patch beta)"},
		"nothing to delete":         {Deletion(name("nil"), Unconditional()), ErrNotFound, "operation 1 (delete nil)"},
		"nothing to patch":          {PatchOf(name("nil"), Unconditional(), definition.SyncTo(nil)), ErrNotFound, "operation 1 (patch nil)"},
		"a name that exists":        {Creation(defined("beta")), ErrExists, "operation 1 (create beta)"},
		"a file that is invalid":    {PatchOf(name("broken"), Unconditional(), definition.SyncTo(nil)), ErrConflict, "operation 1 (patch broken)"},
		"a target held":             {Creation(defined("new", "production/web/y/beta")), ErrConflict, "operation 1 (create new)"},
		"the same one":              {Deletion(alpha.Name, Unconditional()), definition.ErrInvalid, "operation 1 (delete alpha)"},
		"a list that breaks a rule": {PatchOf(beta.Name, Unconditional(), definition.SyncTo(targets("a/b", "a/b/beta"))), definition.ErrInvalid, "operation 1 (patch beta)"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := s.repo.Apply(t.Context(), somebody, Strict, alphaOff, test.second)
			if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("got %v; want %v that says %q", err, test.want, test.says)
			}
			if failed, ok := errors.AsType[*OperationError](err); !ok || failed.Index != 1 {
				t.Errorf("the error names no operation: %v", err)
			}
		})
	}
	if s.repo.Snapshot() != before || s.git(s.gitDir(), "rev-parse", "main") != before.Head().String() {
		t.Error("something was written")
	}
	t.Log("the limit is that of what would stand")
	_, err := s.repo.Apply(t.Context(), somebody, Strict, Creation(defined("one")), Creation(defined("two")))
	if failed, ok := errors.AsType[*OperationError](err); !ok || failed.Index != 1 || !errors.Is(err, ErrLimit) {
		t.Errorf("one definition too many: %v", err)
	}
	_, err = s.repo.Apply(t.Context(), somebody, Strict, Creation(defined("one")), Creation(defined("two")), Deletion(alpha.Name, Unconditional()))
	s.must(err)
	s.fsck()
}

func TestMessagesOfSeveralEdits(t *testing.T) {
	edits := func(added, changed, removed int) (files []fileEdit) {
		for i := range added {
			files = append(files, fileEdit{name: name(fmt.Sprintf("new-%d", i)), mode: 1, added: true})
		}
		for i := range changed {
			files = append(files, fileEdit{name: name(fmt.Sprintf("old-%d", i)), mode: 1})
		}
		for i := range removed {
			files = append(files, fileEdit{name: name(fmt.Sprintf("gone-%d", i))})
		}
		return files
	}
	for want, files := range map[string][]fileEdit{
		"Add new-0 and new-1":                                 edits(2, 0, 0),
		"Change old-0, old-1 and old-2":                       edits(0, 3, 0),
		"Add new-0 and remove gone-0":                         edits(1, 0, 1),
		"Add 5, change 60 and remove 35 definitions":          edits(5, 60, 35),
		"Remove 20 definitions":                               edits(0, 0, 20),
		"Add new-0, change old-0 and old-1 and remove gone-0": edits(1, 2, 1),
	} {
		if got := messageOf(files).subject; got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}
