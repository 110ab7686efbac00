package reconcile

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// priority orders work: what changed goes ahead of what is only looked at again.
type priority uint8

const (
	changed  priority = iota // new, changed, drifted or asked for
	periodic                 // due for another look
	priorities
)

func (p priority) String() string { return [...]string{"changed", "periodic"}[p] }

// periodicShare: one of so many turns goes to periodic work while there is any,
// so that a flood of changes does not stop the looking.
const periodicShare = 16

// queue hands work to workers, fairly: tenants take turns, whatever each has
// waiting, and none has more than limit items under way. An item waits at most
// once; one that is added while it is under way comes again afterwards, and is
// never under way twice. It holds what the callers add and nothing else, so it
// is bounded by the number of items that exist.
type queue[T comparable] struct {
	clock clock.PassiveClock
	limit int // items of one tenant under way

	mu      sync.Mutex
	wakeup  *sync.Cond
	items   map[T]*waiting
	shares  map[string]*share[T]
	ready   [priorities]fifo[*share[T]] // tenants whose turn may come
	turns   int
	paused  bool
	closed  bool
	depth   [priorities]int
	running int
}

type waiting struct {
	queued   bool
	tenant   string   // of the queued entry
	priority priority // of the queued entry
	since    time.Time
	running  bool
	runs     string // the tenant it is under way for
}

type share[T comparable] struct {
	tenant  string
	waiting [priorities]fifo[T]
	inReady [priorities]bool
	running int
	paused  bool
}

func newQueue[T comparable](c clock.PassiveClock, limit int) *queue[T] {
	q := &queue[T]{clock: c, limit: limit, items: make(map[T]*waiting), shares: make(map[string]*share[T])}
	q.wakeup = sync.NewCond(&q.mu)
	return q
}

// add queues an item unless it waits already, and raises its priority if it
// waits with a lower one.
func (q *queue[T]) add(tenant string, item T, p priority) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	w := q.items[item]
	switch {
	case w == nil:
		w = &waiting{since: q.clock.Now()}
		q.items[item] = w
	case w.queued && w.priority <= p:
		return
	case w.queued: // raised: the entry in the other list is skipped when its turn comes
		q.depth[w.priority]--
	default:
		w.since = q.clock.Now()
	}
	w.queued, w.priority, w.tenant = true, p, tenant
	q.depth[p]++
	if w.running {
		return // done will bring it back
	}
	s := q.share(tenant)
	s.waiting[p].push(item)
	q.offer(s, p)
}

func (q *queue[T]) share(tenant string) *share[T] {
	s := q.shares[tenant]
	if s == nil {
		s = &share[T]{tenant: tenant}
		q.shares[tenant] = s
	}
	return s
}

// offer lets a tenant take part in the turns of a priority.
func (q *queue[T]) offer(s *share[T], p priority) {
	if s.inReady[p] || s.paused || s.running >= q.limit || s.waiting[p].len() == 0 {
		return
	}
	s.inReady[p] = true
	q.ready[p].push(s)
	q.wakeup.Signal()
}

// get waits for the next item. It answers false once the queue is closed. Every
// item that was got must be given back with done.
func (q *queue[T]) get() (item T, p priority, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.closed {
			return item, p, false
		}
		if !q.paused {
			if item, p, ok = q.next(); ok {
				return item, p, true
			}
		}
		q.wakeup.Wait()
	}
}

func (q *queue[T]) next() (item T, p priority, ok bool) {
	q.turns++
	order := [priorities]priority{changed, periodic}
	if q.turns%periodicShare == 0 {
		order = [priorities]priority{periodic, changed}
	}
	for _, p = range order {
		for q.ready[p].len() > 0 {
			s := q.ready[p].pop()
			s.inReady[p] = false
			if s.paused || s.running >= q.limit {
				continue // offered again when that ends
			}
			item, ok = q.take(s, p)
			q.offer(s, p)
			if ok {
				return item, p, true
			}
		}
	}
	return item, p, false
}

func (q *queue[T]) take(s *share[T], p priority) (item T, ok bool) {
	for s.waiting[p].len() > 0 {
		item = s.waiting[p].pop()
		w := q.items[item]
		if w == nil || !w.queued || w.running || w.priority != p || w.tenant != s.tenant {
			continue // raised or dropped meanwhile
		}
		w.queued, w.running, w.runs = false, true, s.tenant
		s.running++
		q.running++
		q.depth[p]--
		return item, true
	}
	var none T
	return none, false
}

// done gives back what get gave.
func (q *queue[T]) done(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.items[item]
	s := q.share(w.runs)
	s.running--
	q.running--
	w.running = false
	if w.queued {
		next := q.share(w.tenant)
		next.waiting[w.priority].push(item)
		q.offer(next, w.priority)
	} else {
		delete(q.items, item)
	}
	for p := range priorities {
		q.offer(s, p)
	}
	q.forget(s)
}

// forget drops what is kept for a tenant that has nothing here.
func (q *queue[T]) forget(s *share[T]) {
	if s.running == 0 && !s.paused && s.waiting[changed].len()+s.waiting[periodic].len() == 0 && !s.inReady[changed] && !s.inReady[periodic] {
		delete(q.shares, s.tenant)
	}
}

// pauseTenant stops handing out a tenant's items, or goes on with it. Items
// may be added meanwhile and wait.
func (q *queue[T]) pauseTenant(tenant string, paused bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.share(tenant)
	s.paused = paused
	for p := range priorities {
		q.offer(s, p)
	}
	q.forget(s)
}

// pause stops handing out anything, or goes on with it.
func (q *queue[T]) pause(paused bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = paused
	if !paused {
		q.wakeup.Broadcast()
	}
}

// waitingOf counts what waits or is under way for a tenant.
func (q *queue[T]) waitingOf(tenant string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.shares[tenant]
	if s == nil {
		return 0
	}
	return s.running + s.waiting[changed].len() + s.waiting[periodic].len()
}

// drain drops everything that waits and is not under way, and returns it.
func (q *queue[T]) drain() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	var dropped []T
	for item, w := range q.items {
		if !w.queued {
			continue
		}
		dropped = append(dropped, item)
		if w.running {
			w.queued = false
		} else {
			delete(q.items, item)
		}
	}
	q.depth = [priorities]int{}
	for p := range priorities {
		q.ready[p] = fifo[*share[T]]{}
	}
	for _, s := range q.shares {
		s.waiting = [priorities]fifo[T]{}
		s.inReady = [priorities]bool{}
		q.forget(s)
	}
	return dropped
}

// drop forgets one item if it waits.
func (q *queue[T]) drop(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.items[item]
	if w == nil || !w.queued {
		return
	}
	q.depth[w.priority]--
	w.queued = false
	if !w.running {
		delete(q.items, item)
	}
}

// close ends every get. What waits is dropped.
func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wakeup.Broadcast()
}

// depths returns how much waits at each priority and since when the oldest does.
func (q *queue[T]) depths() (depth [priorities]int, oldest [priorities]time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	for _, w := range q.items {
		if w.queued {
			oldest[w.priority] = max(oldest[w.priority], now.Sub(w.since))
		}
	}
	return q.depth, oldest
}

// fifo is a list that is pushed to at its end and popped from at its start.
type fifo[T any] struct {
	items []T
	first int
}

func (f *fifo[T]) len() int { return len(f.items) - f.first }

func (f *fifo[T]) push(item T) { f.items = append(f.items, item) }

func (f *fifo[T]) pop() T {
	item := f.items[f.first]
	var none T
	f.items[f.first] = none
	f.first++
	switch {
	case f.first == len(f.items):
		f.items, f.first = f.items[:0], 0
	case f.first > 32 && f.first > len(f.items)/2:
		f.items = append(f.items[:0], f.items[f.first:]...)
		clear(f.items[len(f.items):cap(f.items)])
		f.first = 0
	}
	return item
}
