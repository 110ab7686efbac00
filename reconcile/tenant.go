package reconcile

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/sleeper"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/lookout"
	"secretsync/reconcile/meter"
	"secretsync/reconcile/restart"
	"secretsync/reconcile/sweep"
	"secretsync/reconcile/vault"
)

// tenant is one tenant at work: what it desires, as its repository said last,
// and the broker of its values.
type tenant struct {
	name       gitstore.TenantName
	repository Repository
	broker     *vault.Broker
	atlas      *atlas
	restarter  *restart.Restarter
	clock      Clock
	log        *slog.Logger

	terms terms // in force; guarded by the reconciler's mu

	// taken is what definitions and origins agree with: set with mu held, and nil before and
	// after it is worked for.
	taken atomic.Pointer[catalog.Snapshot]

	claiming claiming

	mu          sync.RWMutex                     // taken by rearrange where claims change
	grants      map[definition.ClusterName]grant // written with the reconciler's mu held as well
	ended       bool                             // it is no longer configured: nothing is taken in
	definitions map[definition.Name]*followed
	origins     map[definition.SecretPath]*origin
	choosing    map[*followed]struct{}                 // those with selections
	selecting   map[*connection]map[*followed]struct{} // the same by where they select

	mostNamespaces int          // that one target may select
	mostChosen     atomic.Int64 // that all of them together may
	chosen         int          // that they have; guarded by mu
	crowded        bool         // some had no room for more; guarded by mu

	every     atomic.Int64 // the poll interval
	least     atomic.Int64 // the shortest one that a definition can have
	may       func() bool  // see [Tenant.May]; never nil
	suspended atomic.Bool  // by the configuration: nothing is written for it
	recovery  recovery     // of the vault

	lookout *lookout.Lookout // of plans

	sweeper *sweep.Sweeper
	janitor *sweep.Janitor[*tenant]
	events  meter.Events

	changes  broadcast
	versions atomic.Uint64 // counts what may change a status
}

func (t *tenant) interval() time.Duration { return time.Duration(t.every.Load()) }

// follow takes in every change of the repository until ctx ends, and calls ended then.
// Taking in costs what changed; of a tenant of whom nothing changes there is no goroutine.
func (t *tenant) follow(ctx context.Context, ended func()) {
	var last *catalog.Snapshot
	s := sleeper.New(t.clock, func(ctx context.Context) time.Duration {
		if snapshot := t.repository.Snapshot(); snapshot != last && ctx.Err() == nil {
			t.take(snapshot)
			last = snapshot
		}
		return sleeper.Forever
	})
	stop := t.repository.Notify(s.Wake)
	s.Start(ctx, func() { stop(); ended() })
}

// withdrawAll drops every target.
func (t *tenant) withdrawAll() {
	t.rearrange()
	for _, d := range t.definitions {
		for _, old := range d.targets {
			t.drop(old)
		}
		t.deselect(d, definition.Definition{})
	}
	clear(t.definitions)
	t.ended = true
	t.taken.Store(nil)
	t.rearranged()
	t.announce()
}

// vaultChanged is told when the vault became usable or stopped being so.
func (t *tenant) vaultChanged() {
	t.recovery.note(t.broker.Outage, t.clock)
	t.announce()
}

// recovery is when the last outage of a cluster or a vault ended. It begins in one. Its zero
// value is ready.
type recovery struct {
	mu    sync.Mutex // looking and noting are one step: changes are told of by several at once
	up    bool
	ended atomic.Int64 // in Unix nanoseconds
}

func (r *recovery) note(outage func() *fault.Outage, c clock.PassiveClock) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.up
	if r.up = outage() == nil; r.up && !before {
		r.ended.Store(c.Now().UnixNano())
	}
}

func (r *recovery) at() time.Time { return instant(r.ended.Load()) }

// announce tells those who wait for a status, or keep one, to look again.
func (t *tenant) announce() {
	t.versions.Add(1)
	t.changes.send()
}

// broadcast wakes all who wait on it. Its zero value is ready.
type broadcast struct {
	mu      sync.Mutex
	waiting chan struct{} // nil while nobody waits
}

// wait returns a channel that is closed at the next send.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = make(chan struct{})
	}
	return b.waiting
}

func (b *broadcast) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting != nil {
		close(b.waiting)
		b.waiting = nil
	}
}

// intern keeps equal strings once.
func intern(s string) string { return unique.Make(s).Value() }
