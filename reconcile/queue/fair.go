package queue

import (
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// periodicTurn: every so many turns periodic items go first.
const periodicTurn = 16

// fair is the order of what waits. It is a [workqueue.Queue]: client-go calls
// Push, Touch, Len and Pop under its own lock; mu is for ended and waiting,
// which come from outside.
type fair[T comparable] struct {
	clock    clock.PassiveClock
	classify func(T) Class

	mu      sync.Mutex
	entries map[T]*entry[T]      // what waits
	running map[T]*share[T]      // what is under way, and for whom
	shares  map[string]*share[T] // by tenant; only of those that have something here
	active  [Kinds][]*share[T]   // those that have an item of the kind waiting
	count   [Kinds]int
	turns   uint64
}

// entry is one item that waits.
type entry[T comparable] struct {
	item  T
	share *share[T]
	kind  Kind
	since time.Time
	stale bool // it was raised: another entry stands for its item
}

// share is what one tenant has.
type share[T comparable] struct {
	tenant  string
	lines   [Kinds]line[T]
	running int
	served  uint64 // the turn it last had
}

func newFair[T comparable](c clock.PassiveClock, classify func(T) Class) *fair[T] {
	return &fair[T]{
		clock: c, classify: classify,
		entries: make(map[T]*entry[T]), running: make(map[T]*share[T]), shares: make(map[string]*share[T]),
	}
}

// Push adds an item that does not wait yet.
func (f *fair[T]) Push(item T) {
	class := f.classify(item)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.push(item, class, f.clock.Now())
}

func (f *fair[T]) push(item T, class Class, since time.Time) {
	s := f.shares[class.Tenant]
	if s == nil {
		s = &share[T]{tenant: class.Tenant}
		f.shares[class.Tenant] = s
	}
	e := &entry[T]{item: item, share: s, kind: class.Kind, since: since}
	f.entries[item] = e
	f.count[e.kind]++
	line := &s.lines[e.kind]
	line.push(e)
	if line.live++; line.live == 1 {
		f.active[e.kind] = append(f.active[e.kind], s)
	}
}

// Touch is told of an item that is added while it waits: it may be more urgent
// than it was.
func (f *fair[T]) Touch(item T) {
	class := f.classify(item)
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.entries[item]; old != nil && class.Kind < old.kind {
		old.stale = true
		f.leave(old)
		f.push(item, class, old.since)
	}
}

// leave counts one item less in its line.
func (f *fair[T]) leave(e *entry[T]) {
	delete(f.entries, e.item)
	if len(f.entries) == 0 {
		f.entries = make(map[T]*entry[T]) // a map never gives room back
	}
	f.count[e.kind]--
	line := &e.share.lines[e.kind]
	if line.live--; line.live > 0 {
		return
	}
	line.reset()
	i := slices.Index(f.active[e.kind], e.share)
	f.active[e.kind] = slices.Delete(f.active[e.kind], i, i+1)
}

// Len returns how many items wait.
func (f *fair[T]) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.entries)
}

// Pop takes the item whose turn it is. There must be one.
func (f *fair[T]) Pop() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turns++
	kind := Changed
	if len(f.active[Changed]) == 0 || len(f.active[Periodic]) > 0 && f.turns%periodicTurn == 0 {
		kind = Periodic
	}
	s := slices.MinFunc(f.active[kind], func(a, b *share[T]) int {
		switch {
		case a.running != b.running:
			return a.running - b.running
		case a.served < b.served:
			return -1
		case a.served > b.served:
			return 1
		}
		return 0
	})
	e := s.lines[kind].pop()
	f.leave(e)
	s.running++
	s.served = f.turns
	f.running[e.item] = s
	return e.item
}

// ended counts an item that Pop gave as no longer under way.
func (f *fair[T]) ended(item T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.running[item]
	delete(f.running, item)
	if s.running--; s.running == 0 && s.lines[Changed].live+s.lines[Periodic].live == 0 {
		delete(f.shares, s.tenant)
	}
}

func (f *fair[T]) waiting() (w [Kinds]Waiting) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	for k := range Kinds {
		w[k].Count = f.count[k]
		for _, s := range f.active[k] {
			w[k].Oldest = max(w[k].Oldest, now.Sub(s.lines[k].first().since))
		}
	}
	return w
}

// line is the items of one kind that one tenant has waiting, the first to come
// first. Those that were raised to another kind stay in it, stale, until their
// turn comes.
type line[T comparable] struct {
	entries []*entry[T]
	next    int // index of the first
	live    int // how many are not stale
}

// reset forgets all entries, of which none must be live.
func (l *line[T]) reset() { *l = line[T]{} }

func (l *line[T]) push(e *entry[T]) { l.entries = append(l.entries, e) }

// first returns the first entry that is not stale. There must be one.
func (l *line[T]) first() *entry[T] {
	for l.entries[l.next].stale {
		l.skip()
	}
	return l.entries[l.next]
}

func (l *line[T]) pop() *entry[T] {
	e := l.first()
	l.skip()
	return e
}

// skip drops the first entry, and gives room back from time to time.
func (l *line[T]) skip() {
	l.entries[l.next] = nil
	l.next++
	if l.next > 32 && l.next > len(l.entries)/2 {
		l.entries = append(l.entries[:0], l.entries[l.next:]...)
		clear(l.entries[len(l.entries):cap(l.entries)])
		l.next = 0
	}
}
