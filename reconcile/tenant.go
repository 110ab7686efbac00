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
	"secretsync/gitstore/definition"
	"secretsync/reconcile/restart"
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
	clock      clock.WithTicker
	log        *slog.Logger

	mu          sync.RWMutex
	grants      map[definition.ClusterName]grant
	taken       *gitstore.Snapshot // what definitions and origins agree with
	ended       bool               // it is no longer configured: nothing is taken in
	definitions map[definition.Name]*followed
	origins     map[definition.SecretPath]*origin
	entering    bool                                   // a snapshot is being taken in
	entered     []*target                              // that claimed their places meanwhile
	choosing    map[*followed]struct{}                 // those with selections
	selecting   map[*connection]map[*followed]struct{} // the same by where they select

	mostNamespaces int // that one target may select

	every     atomic.Int64 // the poll interval
	least     atomic.Int64 // the shortest one that a definition can have
	may       func() bool  // see [Tenant.May]; never nil
	suspended atomic.Bool  // by the configuration: nothing is written for it
	down      atomic.Bool  // the vault was told to be unusable
	recovered atomic.Int64 // when the last outage of the vault ended

	lookouts lookouts // of plans

	cleaning cleaning
	janitor  *janitor
	metrics  *metrics

	changes  broadcast
	versions atomic.Uint64 // counts what may change a status
}

func (t *tenant) interval() time.Duration { return time.Duration(t.every.Load()) }

func (t *tenant) recoveredAt() time.Time { return instant(t.recovered.Load()) }

// follow takes in every change of the repository until ctx ends.
func (t *tenant) follow(ctx context.Context) {
	snapshot := t.repository.Snapshot()
	for {
		t.take(snapshot)
		next, err := t.repository.Wait(ctx, snapshot)
		if err != nil {
			if ctx.Err() == nil {
				t.log.Error("repository no longer followed", "cause", err.Error())
				<-ctx.Done()
			}
			return
		}
		snapshot = next
	}
}

// withdrawAll drops every target.
func (t *tenant) withdrawAll() {
	t.mu.Lock()
	for _, d := range t.definitions {
		for _, old := range d.targets {
			t.drop(old)
		}
		t.deselect(d, definition.Definition{})
	}
	clear(t.definitions)
	t.taken, t.ended = nil, true
	t.mu.Unlock()
	t.announce()
}

// vaultChanged is told when the vault became usable or stopped being so.
func (t *tenant) vaultChanged() {
	down := t.broker.Outage() != nil
	if was := t.down.Swap(down); was && !down {
		t.recovered.Store(t.clock.Now().UnixNano())
	}
	t.announce()
}

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
