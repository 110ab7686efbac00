package reconcile

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/vault"
)

// origin is a vault path of one tenant, with the targets that are copies of it: mostly one,
// and tens of thousands where a selector means every namespace. What comes or goes costs no
// more for many than for few, by how many intervals they ask for.
type origin struct {
	path   string
	source *vault.Source

	mu      sync.Mutex
	targets targetSet

	intervals map[time.Duration]int // how many targets ask for each; guarded by the tenant's mu
}

// targetSet is a slice while it is small, as nearly all are: a map of one costs twenty times
// as much.
type targetSet struct {
	few  []*target
	many map[*target]struct{} // nil while they are few
}

const mostFew = 16

func (s *targetSet) add(t *target) {
	switch {
	case s.many != nil:
		s.many[t] = struct{}{}
	case len(s.few) < mostFew:
		s.few = append(s.few, t)
	default:
		s.many = map[*target]struct{}{t: {}}
		for _, other := range s.few {
			s.many[other] = struct{}{}
		}
		s.few = nil
	}
}

func (s *targetSet) remove(t *target) {
	if s.many != nil {
		delete(s.many, t)
	} else if i := slices.Index(s.few, t); i >= 0 {
		s.few = slices.Delete(s.few, i, i+1)
	}
}

func (s *targetSet) len() int { return len(s.few) + len(s.many) }

// all yields them, in no order.
func (s *targetSet) all() iter.Seq[*target] {
	if s.many != nil {
		return maps.Keys(s.many)
	}
	return slices.Values(s.few)
}

// originOf follows a path for a target. t.mu is held.
func (t *tenant) originOf(n *target, path definition.SecretPath) *origin {
	o := t.origins[path]
	if o == nil {
		o = &origin{path: path.String()}
		o.source = t.broker.Source(o.path, o.changed)
		t.origins[path] = o
	}
	o.mu.Lock()
	o.targets.add(n)
	o.mu.Unlock()
	o.pace(0, n.asks.Load().interval())
	return o
}

// unfollow ends following a path for a target. t.mu is held.
func (t *tenant) unfollow(old *target, path definition.SecretPath) {
	o := t.origins[path]
	o.mu.Lock()
	o.targets.remove(old)
	left := o.targets.len()
	o.mu.Unlock()
	if left == 0 {
		delete(t.origins, path)
		o.source.Close()
		return
	}
	o.pace(old.asks.Load().interval(), 0)
}

// pace has the path polled at the shortest interval that its targets ask for. It is called
// for a target that comes, goes or asks for another than before, with what it asked for and
// asks for now; 0 is none. It costs by how many different intervals are asked
// for: nothing where none is. The tenant's mu is held.
func (o *origin) pace(before, now time.Duration) {
	if before == 0 && now == 0 && len(o.intervals) == 0 {
		return
	}
	if before > 0 {
		if o.intervals[before]--; o.intervals[before] == 0 {
			delete(o.intervals, before)
		}
	}
	if now > 0 {
		if o.intervals == nil {
			o.intervals = make(map[time.Duration]int)
		}
		o.intervals[now]++
	}
	shortest, asking := time.Duration(0), 0
	for every, n := range o.intervals {
		if shortest == 0 || every < shortest {
			shortest = every
		}
		asking += n
	}
	o.mu.Lock()
	all := asking == o.targets.len()
	o.mu.Unlock()
	o.source.Every(shortest, all)
}

// changed marks every place as due that is a copy of the value.
func (o *origin) changed() {
	o.mu.Lock()
	targets := slices.AppendSeq(make([]*target, 0, o.targets.len()), o.targets.all())
	o.mu.Unlock()
	if len(targets) > 0 {
		targets[0].tenant.announce()
	}
	for _, t := range targets {
		if p := t.place.Load(); p != nil {
			p.due()
		}
	}
}

// users adds the names of the definitions that are copies of the value.
func (o *origin) users(names map[string]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for target := range o.targets.all() {
		names[target.owner.Name] = true
	}
}
