package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
	"secretsync/reconcile/cleanup"
	"secretsync/reconcile/kube/copies"
)

// field is a tenant as these tests have it: copies that nobody claims, and a history. It
// stands for clusters and a repository, which package reconcile's tests have.
type field struct {
	t         *testing.T
	suspended bool
	unknown   error // why what is unclaimed can't be told
	refusal   error // of a removal
	found     Unclaimed
	removed   []string
	byHand    bool // the last removal was

	history  map[string][]string // the commits of each definition, newest first
	files    map[string]string   // by commit
	trailers []gitstore.Trailer

	clock *clocktesting.FakeClock
	*Sweeper
}

func newField(t *testing.T) *field {
	f := &field{t: t, history: make(map[string][]string), files: make(map[string]string), clock: clocktesting.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))}
	f.head()
	f.Sweeper = New(f, f, cleanup.Brake{Copies: 3, Share: 100}, f.clock, slog.New(slog.DiscardHandler))
	return f
}

func (f *field) Suspended() bool { return f.suspended }

func (f *field) Unclaimed() (*Unclaimed, error) {
	found := f.found
	found.Orphans = slices.Clone(f.found.Orphans)
	return &found, f.unknown
}

func (f *field) Remove(_ context.Context, o Orphan, at *catalog.Snapshot) error {
	if f.refusal != nil {
		return f.refusal
	}
	f.byHand = at == nil
	if !f.byHand && at != f.found.At {
		f.t.Error("it goes by another snapshot than that which says that it is an orphan")
	}
	f.removed = append(f.removed, o.Secret)
	f.found.Orphans = slices.DeleteFunc(f.found.Orphans, o.same)
	return nil
}

func (f *field) History(_ context.Context, name definition.Name, after catalog.Revision, _ int) (events []gitstore.Event, next catalog.Revision, err error) {
	commits := f.history[name.String()]
	i := 0
	if !after.IsZero() {
		i = slices.Index(commits, after.String()) + 1
	}
	if i < len(commits) { // a page of one
		events = []gitstore.Event{{Revision: revision(f.t, commits[i])}}
		if i+1 < len(commits) {
			next = events[0].Revision
		}
	}
	return events, next, nil
}

func (f *field) File(_ context.Context, name definition.Name, rev string) (gitstore.File, error) {
	text, ok := f.files[rev]
	if !ok {
		return gitstore.File{}, fmt.Errorf("%s: %w", rev, gitstore.ErrNotFound)
	}
	return gitstore.File{Path: "secrets/" + name.String() + ".yaml", Text: []byte(text)}, nil
}

func (f *field) Trailers(context.Context, *catalog.Snapshot, string, int) ([]gitstore.Trailer, error) {
	return f.trailers, nil
}

func revision(t *testing.T, s string) catalog.Revision {
	t.Helper()
	r, err := catalog.ParseRevision(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// commit is the id of a commit that is told by one digit.
func commit(digit string) string { return strings.Repeat(digit, 40) }

func file(more string) string { return "name: db\nsecretPath: db\n" + more + "sync: []\n" }

// head has a commit at HEAD with some definitions.
func (f *field) head(files ...string) {
	var entries []*catalog.Entry
	for _, text := range files {
		d, err := parse.File("secrets/db.yaml", []byte(text))
		if err != nil {
			f.t.Fatal(err)
		}
		entries = append(entries, &catalog.Entry{Name: d.Name, Definition: d})
	}
	f.found.At = catalog.NewSnapshot(revision(f.t, commit("f")).Hash(), entries, nil, 0)
}

// orphan has a copy of definition db stand that nobody claims; change makes it another.
func (f *field) orphan(secret string, change func(*copies.Copy)) Orphan {
	c := &copies.Copy{Owner: copies.Owner{Tenant: "payments", Name: "db"}, UID: "u-" + secret, ResourceVersion: "1", Commit: commit("a"), Intact: true, Watched: true, Deletes: true}
	if change != nil {
		change(c)
	}
	alias, err := definition.ParseClusterName("production")
	if err != nil {
		f.t.Fatal(err)
	}
	o := OrphanOf(alias, "c1", copies.Key{Namespace: "default", Name: secret}, c)
	f.found.Orphans = append(f.found.Orphans, o)
	f.found.All++
	f.found.Loose++
	return o
}

func TestAnOrphanGoesByItselfWhereCopyAndDefinitionSayIt(t *testing.T) {
	const deletes = "deletionPolicy: Delete\n"
	for name, c := range map[string]struct {
		head    string // the definition at HEAD; empty: it is gone
		history string // digits of commits that changed it, newest first
		last    string // the last version of it before it went
		change  func(*copies.Copy)
		goes    bool
	}{
		"both say so": {head: file(deletes), history: "ba", goes: true},
		"the definition is gone and said so last":            {history: "ba", last: file(deletes), goes: true},
		"the definition is gone and did not say so last":     {history: "ba", last: file("")},
		"the definition is gone and never was valid":         {history: "ba", last: "name: [\n"},
		"the definition at HEAD does not say so any more":    {head: file(""), history: "ba"},
		"the definition is suspended":                        {head: file(deletes + "suspend: true\n"), history: "ba"},
		"the copy does not say so":                           {head: file(deletes), history: "ba", change: func(c *copies.Copy) { c.Deletes = false }},
		"the hash of the copy does not hold":                 {head: file(deletes), history: "ba", change: func(c *copies.Copy) { c.Intact = false }},
		"its commit is not in the history of the definition": {head: file(deletes), history: "bc"},
		"its label names no definition":                      {head: file(deletes), history: "ba", change: func(c *copies.Copy) { c.Name = "No Name" }},
		"another object owns it":                             {head: file(deletes), history: "ba", change: func(c *copies.Copy) { c.Owned = true }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newField(t)
			if c.head != "" {
				f.head(c.head)
			}
			for _, digit := range c.history {
				f.history["db"] = append(f.history["db"], commit(string(digit)))
			}
			if c.last != "" {
				f.files[commit("a")] = c.last
			}
			f.orphan("one", c.change)
			f.Ask()
			if _, err := f.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if went := len(f.removed) == 1; went != c.goes {
				t.Errorf("it went: %t", went)
			}
			if looked, _ := f.Looked(); !looked {
				t.Error("it was not looked at")
			}
			if f.Undone() == c.goes {
				t.Errorf("something is left to be done: %t", f.Undone())
			}
		})
	}
}

func TestWhatCannotBeToldOrDoneStaysUndone(t *testing.T) {
	broken := errors.New("the connection broke")
	for name, c := range map[string]struct {
		change func(*field)
		again  time.Duration
		fails  error
	}{
		"the tenant is suspended":           {change: func(f *field) { f.suspended = true }},
		"what is unclaimed is not known":    {change: func(f *field) { f.unknown = ErrNotYet }, fails: ErrNotYet},
		"the copy changed meanwhile":        {change: func(f *field) { f.refusal = gitstore.ErrConflict }, again: conflictAfter},
		"a newer commit is being taken in":  {change: func(f *field) { f.refusal = ErrNotYet }, again: conflictAfter},
		"the cluster fails at the deletion": {change: func(f *field) { f.refusal = broken }, fails: broken},
	} {
		t.Run(name, func(t *testing.T) {
			f := newField(t)
			f.head(file("deletionPolicy: Delete\n"))
			f.history["db"] = []string{commit("a")}
			f.orphan("one", nil)
			c.change(f)
			f.Ask()
			again, err := f.Sweep(t.Context())
			if again != c.again || !errors.Is(err, c.fails) {
				t.Errorf("again after %s, %v", again, err)
			}
			if !f.Undone() || len(f.removed) > 0 {
				t.Errorf("undone: %t, removed: %v", f.Undone(), f.removed)
			}
		})
	}
}

func TestAListIsHeldTillItIsReleased(t *testing.T) {
	for name, release := range map[string]func(*field, *Deletions){
		"by its id": func(f *field, h *Deletions) {
			if _, err := f.Release("another", "somebody"); !errors.Is(err, gitstore.ErrConflict) {
				f.t.Errorf("by another id: %v", err)
			}
			if released, err := f.Release(h.ID, "somebody"); err != nil || len(released.Held) != 4 {
				f.t.Errorf("%+v, %v", released, err)
			}
			if _, err := f.Release(h.ID, "somebody"); !errors.Is(err, gitstore.ErrConflict) {
				f.t.Errorf("once more: %v", err)
			}
			if !f.Undone() {
				f.t.Error("nobody looks at what was released")
			}
		},
		"by a commit that names it": func(f *field, h *Deletions) {
			f.trailers = []gitstore.Trailer{{Value: "another"}, {Value: h.ID}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newField(t)
			f.head(file("deletionPolicy: Delete\n"))
			f.history["db"] = []string{commit("a")}
			for _, secret := range []string{"d", "b", "c", "a"} {
				f.orphan(secret, nil)
			}
			sweep := func() {
				t.Helper()
				if _, err := f.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			sweep()
			h := f.Held()
			if h == nil || len(f.removed) > 0 || !f.Undone() {
				t.Fatalf("four of three: held %+v, removed %v", h, f.removed)
			}
			if h.Held[0].Secret != "a" || h.Allowed != 3 {
				t.Errorf("%+v", h)
			}
			f.clock.Step(time.Minute)
			if sweep(); !f.Held().Since.Equal(h.Since) {
				t.Errorf("the same list is told to be held since %s, not %s", f.Held().Since, h.Since)
			}
			release(f, h)
			if sweep(); len(f.removed) != 4 || f.Held() != nil {
				t.Errorf("removed %v, held %+v", f.removed, f.Held())
			}
		})
	}
}

func TestByHandAnOrphanGoesOnlyAsItWasListed(t *testing.T) {
	f := newField(t)
	f.history["db"] = []string{commit("b"), commit("a")}
	f.orphan("two", func(c *copies.Copy) { c.Deletes = false })
	f.orphan("one", nil)
	f.orphan("strange", func(c *copies.Copy) { c.Commit = commit("e") })
	listed, err := f.Orphans(t.Context())
	if err != nil || len(listed) != 3 || listed[0].Secret != "one" || listed[1].Doubt == "" {
		t.Fatalf("%+v, %v", listed, err)
	}
	if err := f.Sweeper.Remove(t.Context(), listed[1]); !errors.Is(err, gitstore.ErrConflict) {
		t.Errorf("one in doubt: %v", err)
	}
	changed := listed[0]
	changed.version = "0"
	if err := f.Sweeper.Remove(t.Context(), changed); !errors.Is(err, gitstore.ErrConflict) {
		t.Errorf("one that changed: %v", err)
	}
	if err := f.Sweeper.Remove(t.Context(), listed[2]); err != nil || !slices.Equal(f.removed, []string{"two"}) || !f.byHand {
		t.Errorf("removed %v, by hand: %t, %v", f.removed, f.byHand, err)
	}
}

func TestAHeldListIsToldInWordsOfEachDefinition(t *testing.T) {
	f := newField(t)
	h := Deletions{ID: "1234", Why: "too many", Held: []Orphan{f.orphan("a", nil), f.orphan("b", nil)}}
	db, err := definition.ParseName("db")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := h.Words(), "2 copies are not deleted: too many; an admin can release list 1234"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	if got, want := h.Of(db), "2 copies are not deleted (production/default/a first): too many; an admin can release list 1234"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	other, _ := definition.ParseName("other")
	if got := h.Of(other); got != "" {
		t.Errorf("of a definition without any: %s", got)
	}
}

func TestTheJanitorLooksAtEachOnceAndInItsTime(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	cleaned, goOn := make(chan string), make(chan struct{})
	j := NewJanitor(clock, func(ctx context.Context, tenant string) {
		cleaned <- tenant
		select {
		case <-goOn:
		case <-ctx.Done():
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { j.Run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()

	j.Ask("late", time.Hour)
	j.Ask("soon", time.Hour)
	j.Ask("soon", 0) // the earlier of two counts
	if got := <-cleaned; got != "soon" {
		t.Fatalf("%s is cleaned up first", got)
	}
	j.Ask("soon", 0) // while it is cleaned up
	if due, _ := j.next(); len(due) > 0 {
		t.Fatalf("%v are cleaned up twice at the same time", due)
	}
	goOn <- struct{}{}
	if got := <-cleaned; got != "soon" {
		t.Fatalf("%s is cleaned up, and not the one that was asked for meanwhile", got)
	}
	goOn <- struct{}{}
	for {
		select {
		case got := <-cleaned:
			if got != "late" {
				t.Errorf("%s is cleaned up last", got)
			}
			return
		default:
			clock.Step(time.Minute) // it may not have set its timer yet
			runtime.Gosched()
		}
	}
}
