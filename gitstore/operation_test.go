package gitstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
)

func heldBy(written []operation.Written) string {
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
	apply := func(want string, how operation.Handling, ops ...operation.Operation) {
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
	apply("alpha: production/web/y by beta", operation.Lenient, operation.PatchOf(alpha.Name, operation.Unconditional(), definition.SyncTo(targets("production/web/y"))))
	apply("", operation.Strict, operation.PatchOf(beta.Name, operation.Unconditional(), definition.SyncTo(targets("production/web/x"))))
	apply("", operation.Strict, operation.PatchOf(alpha.Name, operation.Unconditional(), definition.SyncTo(targets("production/web/y", "production/web/z"))))

	t.Log("the holder stays the holder when it is changed, also under Strict, and who waits goes on waiting")
	apply("delta: production/web/x by beta", operation.Lenient, operation.Creation(defined("delta", "production/web/x")))
	apply("", operation.Strict, operation.PatchOf(beta.Name, operation.Unconditional(), definition.SyncTo(targets("production/web/x", "production/web/w"))))
	apply("delta: production/web/x by beta", operation.Lenient, operation.PatchOf(name("delta"), operation.Unconditional(), definition.SyncTo(targets("production/web/v", "production/web/x"))))
	_, err := s.repo.Apply(t.Context(), somebody, operation.Strict, operation.PatchOf(name("delta"), operation.Unconditional(), definition.SyncTo(targets("production/web/v", "production/web/x"))))
	if claim, ok := errors.AsType[*operation.ClaimError](err); !ok || claim.Holder != beta.Name || !errors.Is(err, ErrConflict) {
		t.Errorf("under Strict the one that waits: %v", err)
	}
	t.Log("one that is renamed: the new one is made, then the old one goes")
	s.must(s.repo.Delete(t.Context(), somebody, beta.Name, operation.Unconditional()))
	apply("", operation.Strict, operation.PatchOf(name("delta"), operation.Unconditional(), definition.SyncTo(targets("production/web/x"))))
	s.fsck()
}

func TestARefusedWriteLeavesTheClaimsAsTheyWere(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha", "production/web/x"))
	s.create(defined("beta", "production/web/x"))
	s.create(defined("delta", "production/web/x"))
	holders := func() []definition.Name {
		return s.repo.claims.Of(targets("production/web/x")[0].Place(name("alpha")))
	}
	before := slices.Clone(holders())
	for range 3 {
		_, err := s.repo.Apply(t.Context(), somebody, operation.Strict,
			operation.Deletion(name("alpha"), operation.Unconditional()), operation.PatchOf(name("beta"), operation.Unconditional(), definition.SyncTo(nil)), operation.Creation(defined("epsilon", "production/web/x")))
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
	written, err := s.repo.Apply(t.Context(), somebody, operation.Strict,
		operation.PatchOf(alpha.Name, operation.OneOf(alpha.Revision), definition.SyncTo(targets("production/web/y"))),
		operation.PatchOf(beta.Name, operation.OneOf(beta.Revision), definition.SyncTo(targets("production/web/x"))),
		operation.Deletion(gone.Name, operation.OneOf(gone.Revision)),
		operation.PatchOf(same.Name, operation.OneOf(same.Revision), definition.SyncTo(same.Definition.Sync)),
		operation.Creation(defined("new", "production/web/z")),
	)
	if err != nil {
		t.Fatal(err)
	}
	head := s.repo.Snapshot().Head()
	if parent := s.git(s.gitDir(), "rev-parse", "main^"); parent != before.String() {
		t.Errorf("the commit before is %s; want %s: it is one", parent, before)
	}
	for i, want := range []catalog.Revision{head, head, {}, same.Revision, head} {
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
	events, _, err := s.repo.History(t.Context(), beta.Name, catalog.Revision{}, 10)
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
func differences(a, b *catalog.Snapshot) string {
	say := func(s *catalog.Snapshot) (all string) {
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
	alphaOff := operation.PatchOf(alpha.Name, operation.OneOf(alpha.Revision), definition.SyncTo(nil))
	before := s.repo.Snapshot()
	for what, test := range map[string]struct {
		second operation.Operation
		want   error
		says   string
	}{
		"a stale revision":          {operation.PatchOf(beta.Name, operation.OneOf(alpha.Revision), definition.SyncTo(nil)), ErrPrecondition, "operation 1 (patch beta)"},
		"nothing to delete":         {operation.Deletion(name("nil"), operation.Unconditional()), ErrNotFound, "operation 1 (delete nil)"},
		"nothing to patch":          {operation.PatchOf(name("nil"), operation.Unconditional(), definition.SyncTo(nil)), ErrNotFound, "operation 1 (patch nil)"},
		"a name that exists":        {operation.Creation(defined("beta")), ErrExists, "operation 1 (create beta)"},
		"a file that is invalid":    {operation.PatchOf(name("broken"), operation.Unconditional(), definition.SyncTo(nil)), ErrConflict, "operation 1 (patch broken)"},
		"a target held":             {operation.Creation(defined("new", "production/web/y/beta")), ErrConflict, "operation 1 (create new)"},
		"the same one":              {operation.Deletion(alpha.Name, operation.Unconditional()), definition.ErrInvalid, "operation 1 (delete alpha)"},
		"a list that breaks a rule": {operation.PatchOf(beta.Name, operation.Unconditional(), definition.SyncTo(targets("a/b", "a/b/beta"))), definition.ErrInvalid, "operation 1 (patch beta)"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := s.repo.Apply(t.Context(), somebody, operation.Strict, alphaOff, test.second)
			if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("got %v; want %v that says %q", err, test.want, test.says)
			}
			if failed, ok := errors.AsType[*operation.Error](err); !ok || failed.Index != 1 {
				t.Errorf("the error names no operation: %v", err)
			}
		})
	}
	if s.repo.Snapshot() != before || s.git(s.gitDir(), "rev-parse", "main") != before.Head().String() {
		t.Error("something was written")
	}
	t.Log("the limit is that of what would stand")
	_, err := s.repo.Apply(t.Context(), somebody, operation.Strict, operation.Creation(defined("one")), operation.Creation(defined("two")))
	if failed, ok := errors.AsType[*operation.Error](err); !ok || failed.Index != 1 || !errors.Is(err, ErrLimit) {
		t.Errorf("one definition too many: %v", err)
	}
	_, err = s.repo.Apply(t.Context(), somebody, operation.Strict, operation.Creation(defined("one")), operation.Creation(defined("two")), operation.Deletion(alpha.Name, operation.Unconditional()))
	s.must(err)
	s.fsck()
}
