package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/cleanup"
	"secretsync/reconcile/kube"
)

// TrailerRelease is the trailer of a commit that releases a list of copies whose
// deletion is held, by the list's id.
const TrailerRelease = "Secretsync-Release"

// mostReleases is how many commits are looked at for that trailer.
const mostReleases = 100

// Deletions are the copies of a tenant that would be deleted if the brake did not
// hold them. Its zero value holds none.
type Deletions struct {
	// ID names just this list; see [Reconciler.ReleaseDeletions]. Empty: none is held.
	ID      string
	Why     string    // why they are held, in words
	Since   time.Time // when this list was first held
	Allowed int       // how many go by themselves within [cleanup.Window]
	Held    []Orphan  // sorted by place
}

// cleaning is the clean-up of one tenant. It is a loop over what stands now, not
// over what happened: a crash between a commit and a deletion loses nothing.
//
//	what happens                                       the tenant is looked at
//	a target with deletionPolicy Delete is let go of   soon
//	a copy that says Delete is seen, and claimed by    soon
//	  nobody (after a start, or an outage)
//	something is left undone, and a commit is taken    soon
//	  in, a cluster comes back, or the configuration
//	  changes
//	a list is released                                 soon
//	something is left undone                           once an interval
type cleaning struct {
	brake atomic.Pointer[cleanup.Brake]
	held  atomic.Pointer[Deletions] // nil: none
	// undone: there may be something to delete.
	undone atomic.Bool
	// asked counts what may have made something to delete, and looked is up to
	// which count it was looked at.
	asked, looked atomic.Uint64

	mu     sync.Mutex // of a look, and of a release
	ledger cleanup.Ledger
	list   []cleanup.Copy // what held is of, as the ledger takes it
	proven *gitstore.Snapshot
	proofs map[definition.Name]*proof // at the snapshot proven
}

// proof is what the history of a definition says of its copies.
type proof struct {
	commits map[string]bool // that changed it
	newest  string
	policy  cleanup.Policy
}

// deletes reports whether a target's copy goes with it.
func (t *target) deletes() bool {
	a := t.asks.Load()
	return a != nil && a.recipe.Deletes()
}

// tidy has the clean-up look at the tenant soon.
func (t *tenant) tidy() {
	t.cleaning.undone.Store(true)
	t.cleaning.asked.Add(1)
	t.janitor.ask(t, tidyAfter)
}

// tidyAgain is the same where something was left undone.
func (t *tenant) tidyAgain() {
	if t.cleaning.undone.Load() {
		t.tidy()
	}
}

// stray has the clean-up look at a copy that may be one that is to go.
func (r *Reconciler) stray(c *kube.Copy) {
	if !c.Deletes || !c.Watched {
		return
	}
	if name, err := gitstore.ParseTenantName(c.Tenant); err == nil {
		if t := r.tenant(name); t != nil {
			t.tidy()
		}
	}
}

// clean deletes what is to go, and has itself called again where something is left.
func (t *tenant) clean(ctx context.Context) {
	asked := t.cleaning.asked.Load()
	t.cleaning.mu.Lock()
	defer t.cleaning.mu.Unlock()
	again, err := t.sweep(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		again = t.interval()
		if !errors.Is(err, ErrNotYet) {
			t.log.Warn("copies that are to be deleted could not be", "cause", err.Error())
		}
	}
	t.cleaning.looked.Store(asked)
	t.announce()
	if again > 0 {
		t.janitor.ask(t, again)
	}
}

// sweep does that once. It returns after how long there may be more to do though
// nothing happens; zero: there is not. cleaning.mu is held.
func (t *tenant) sweep(ctx context.Context) (again time.Duration, err error) {
	if t.suspended.Load() {
		return 0, nil // it stays undone till it goes on
	}
	t.cleaning.undone.Store(false)
	at, going, err := t.goners(ctx)
	if err != nil {
		t.cleaning.undone.Store(true)
		return 0, err
	}
	d, err := t.judge(ctx, at, going)
	if err != nil {
		t.cleaning.undone.Store(true)
		return 0, err
	}
	t.hold(&d, going)
	if again = d.Again; len(d.Held)+going.staying > 0 {
		t.cleaning.undone.Store(true)
	}
	var failed error
	for _, c := range d.Delete {
		o := going.of[c]
		switch err := t.removeAt(ctx, o, at, "copy deleted"); {
		case err == nil:
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, gitstore.ErrConflict), errors.Is(err, ErrNotYet):
			t.cleaning.undone.Store(true)
			again = soonest(again, conflictAfter)
		default:
			t.cleaning.undone.Store(true)
			failed = err
		}
	}
	return again, failed
}

// conflictAfter is how long to wait where a copy or the branch changed meanwhile.
const conflictAfter = time.Second

func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b < a {
		return b
	}
	return a
}

// goners are the copies that are to go.
type goners struct {
	copies   []cleanup.Copy
	of       map[cleanup.Copy]Orphan
	standing int // how many copies of the tenant are proven to be ours, in all
	staying  int // how many say of themselves that they go, and stay for now
}

// goners lists the copies that are to go as the snapshot says that it returns.
func (t *tenant) goners(ctx context.Context) (*gitstore.Snapshot, *goners, error) {
	found, err := t.unclaimed()
	if err != nil {
		return nil, nil, err
	}
	at := found.at
	g := &goners{of: make(map[cleanup.Copy]Orphan), standing: found.all}
	if t.cleaning.proven != at {
		t.cleaning.proven, t.cleaning.proofs = at, make(map[definition.Name]*proof)
	}
	for _, o := range found.orphans {
		if !o.deletes || o.Doubt != "" {
			continue
		}
		name, err := definition.ParseName(o.Definition)
		if err != nil {
			continue
		}
		p := t.cleaning.proofs[name]
		if p == nil {
			if p, err = t.proofOf(ctx, at, name); err != nil {
				return nil, nil, err
			}
			t.cleaning.proofs[name] = p
		}
		c := cleanup.Candidate{
			Copy:   cleanup.Copy{Cluster: o.identity, Namespace: o.Namespace, Name: o.Secret, UID: o.uid, Share: o.share(), Since: p.newest},
			Marked: o.deletes, Owned: o.owned, Wanted: o.wanted, Deleting: o.deleting, Policy: p.policy,
		}
		if p.commits[o.Commit] && c.Stays() == "" {
			g.copies = append(g.copies, c.Copy)
			g.of[c.Copy] = o
		}
	}
	g.staying = found.loose - len(g.copies)
	return at, g, nil
}

// proofOf reads what the history of a definition says: its commits, and what it
// says of its copies, at HEAD or, where it is gone, in its last valid version.
func (t *tenant) proofOf(ctx context.Context, at *gitstore.Snapshot, name definition.Name) (*proof, error) {
	events, err := t.historyOf(ctx, name)
	if err != nil {
		return nil, err
	}
	p := &proof{commits: make(map[string]bool, len(events))}
	for _, e := range events {
		p.commits[e.Revision.String()] = true
	}
	if len(events) > 0 {
		p.newest = events[0].Revision.String()
	}
	if e, ok := at.Get(name); ok {
		// Where none is usable it stays: a file that never was valid may mean anything.
		p.policy = policyOf(desired(e).Shape)
		return p, nil
	}
	for _, e := range events {
		f, err := t.repository.File(ctx, name, e.Revision.String())
		if errors.Is(err, gitstore.ErrNotFound) || errors.Is(err, definition.ErrInvalid) {
			continue // it was removed then, or is no definition
		} else if err != nil {
			return nil, fmt.Errorf("what is to be deleted is %w: definition %s can't be read at commit %s: %w", ErrNotYet, name, e.Revision, err)
		}
		if d, err := definition.Parse(f.Path, f.Text); err == nil {
			p.policy = policyOf(d.Shape)
			break
		}
	}
	return p, nil
}

func policyOf(s *definition.Shape) cleanup.Policy {
	return cleanup.Policy{Deletes: s.Deletes(), Merges: s.Merges(), Suspended: s.Suspended()}
}

// judge asks the brake what goes, and the newest commits whether they release
// what it holds. cleaning.mu is held.
func (t *tenant) judge(ctx context.Context, at *gitstore.Snapshot, g *goners) (cleanup.Decision, error) {
	brake := *t.cleaning.brake.Load()
	d := t.cleaning.ledger.Decide(t.clock.Now(), brake, g.copies, g.standing)
	if d.ID == "" {
		return d, nil
	}
	releases, err := t.repository.Trailers(ctx, at, TrailerRelease, mostReleases)
	if err != nil {
		return d, fmt.Errorf("what is to be deleted is %w: the newest commits can't be read: %w", ErrNotYet, err)
	}
	for _, r := range releases {
		if r.Value == d.ID {
			t.log.Info("deletion of copies released", "id", d.ID, "copies", len(d.Held), "commit", r.Commit.String())
			t.cleaning.ledger.Release(d.Held)
			return t.cleaning.ledger.Decide(t.clock.Now(), brake, g.copies, g.standing), nil
		}
	}
	return d, nil
}

// hold keeps what is held for those who ask, and tells of it once.
func (t *tenant) hold(d *cleanup.Decision, g *goners) {
	before := t.cleaning.held.Load()
	if d.ID == "" {
		t.cleaning.list = nil
		t.cleaning.held.Store(nil)
		return
	}
	h := &Deletions{ID: d.ID, Why: d.Why, Since: t.clock.Now(), Allowed: t.cleaning.brake.Load().Copies, Held: make([]Orphan, 0, len(d.Held))}
	for _, c := range d.Held {
		h.Held = append(h.Held, g.of[c])
	}
	slices.SortFunc(h.Held, func(a, b Orphan) int { return strings.Compare(a.place(), b.place()) })
	if before != nil && before.ID == h.ID {
		h.Since = before.Since
	} else {
		t.log.Warn("deletion of copies held", "id", h.ID, "copies", len(h.Held), "cause", h.Why)
	}
	t.cleaning.list = d.Held
	t.cleaning.held.Store(h)
}

// Deletions tells what the brake holds of a tenant's copies.
func (r *Reconciler) Deletions(name gitstore.TenantName) Deletions {
	if t := r.tenant(name); t != nil {
		if h := t.cleaning.held.Load(); h != nil {
			return *h
		}
	}
	return Deletions{}
}

// Weighed reports whether it is known by now what the brake holds of all that was
// taken in.
func (r *Reconciler) Weighed(name gitstore.TenantName) bool {
	t := r.tenant(name)
	return t == nil || t.cleaning.looked.Load() == t.cleaning.asked.Load()
}

// ReleaseDeletions has just the copies deleted that are held under an id now, and
// returns them. Where another list is held, or none, the error matches
// gitstore.ErrConflict. by is who released them, for the log.
func (r *Reconciler) ReleaseDeletions(name gitstore.TenantName, id, by string) (Deletions, error) {
	t := r.tenant(name)
	if t == nil {
		return Deletions{}, fmt.Errorf("tenant %s: %w", name, gitstore.ErrNotFound)
	}
	t.cleaning.mu.Lock()
	defer t.cleaning.mu.Unlock()
	h := t.cleaning.held.Load()
	switch {
	case h == nil:
		return Deletions{}, fmt.Errorf("no deletion of copies is held; nothing was released: %w", gitstore.ErrConflict)
	case h.ID != id:
		return Deletions{}, fmt.Errorf("the list of held deletions is another one by now; look at it and release that: %w", gitstore.ErrConflict)
	}
	t.log.Info("deletion of copies released", "id", id, "copies", len(h.Held), "by", by)
	t.cleaning.ledger.Release(t.cleaning.list)
	t.cleaning.list = nil
	t.cleaning.held.Store(nil)
	t.tidy()
	return *h, nil
}

// words say what is held, in one line.
func (h *Deletions) words() string {
	return fmt.Sprintf("%s not deleted: %s; an admin can release list %s", countOf(len(h.Held), "copy is", "copies are"), h.Why, h.ID)
}

// of says which copies of a definition are held; empty where none is.
func (h *Deletions) of(name definition.Name) string {
	n, first := 0, ""
	for i := range h.Held {
		if o := &h.Held[i]; o.Definition == name.String() {
			if n++; n == 1 {
				first = o.place()
			}
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s not deleted (%s first): %s; an admin can release list %s", countOf(n, "copy is", "copies are"), first, h.Why, h.ID)
}

func countOf(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
