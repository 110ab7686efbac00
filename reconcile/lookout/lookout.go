// Package lookout owns how a tenant's plan looks at what stands in the clusters and what
// the vault has: within which bounds, how many at once, and what could not be looked at.
//
// It guarantees that looking has no effect, ends after [Time] whatever is slow, and that
// nobody can have the vault asked for more than a tenant's budget, by however many plans.
// It knows no cluster and no vault: how a place or a path is looked at says its [Ground].
package lookout

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/compose"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/plan"
)

// What a plan may look at. Whoever has a key of the tenant can ask for one, so
// that the vault must not be the slower for it, and nobody can try out paths for
// long: each path that is looked up takes from a tenant's budget, which comes back
// slowly.
//
//	                  at most     a plan    budget, and what comes back of it
//	Secrets           read one by one 200   -
//	versions          of paths        200   400, 4 a second
//	names of keys     of values       50    100, 1 a second
//
// What is over is told as not looked up.
const (
	MostPlaces = 200
	MostPaths  = 200
	MostKeys   = 50
	// atOnce is how many of either are under way for one plan.
	atOnce = 4
	// Time is how long looking takes at most: what did not come by then is told as not
	// looked up.
	Time = 10 * time.Second
)

// Ground is how a plan looks at what is there.
type Ground interface {
	// Standing returns what looks at the place of a step; nil where the tenant may not.
	// It is false if no answer came before ctx ended.
	Standing(step *plan.Step) func(ctx context.Context) (plan.Standing, bool)
	// Value asks the vault for the version at a path and, with keys, for the names of
	// its keys, which only the value tells: that is whole then. ok is false if no answer
	// came before ctx ended.
	Value(ctx context.Context, path string, keys bool) (v plan.Value, whole *compose.Value, ok bool)
}

// Lookout bounds the plans of one tenant.
type Lookout struct {
	turn     chan struct{} // one plan looks at a time
	versions *rate.Limiter
	keys     *rate.Limiter
}

// New makes one with its budget whole.
func New() *Lookout {
	return &Lookout{turn: make(chan struct{}, 1), versions: rate.NewLimiter(4, 2*MostPaths), keys: rate.NewLimiter(1, 2*MostKeys)}
}

// Begin waits till no other plan of the tenant looks. The context that it returns is the
// one to look by; end ends the turn. The error is that of ctx.
func (l *Lookout) Begin(ctx context.Context) (looking context.Context, end func(), err error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	looking, cancel := context.WithTimeout(ctx, Time)
	return looking, func() { cancel(); <-l.turn }, nil
}

// Look looks at what a plan of these definitions is about, till ctx ends; see
// [Proposed]. now is what the budget goes by.
func (l *Lookout) Look(ctx context.Context, now time.Time, p *plan.Plan, definitions map[string]definition.Definition, g Ground) *Sighting {
	s := &Sighting{standings: make(map[string]plan.Standing), values: make(map[string]plan.Value)}
	var tasks []func()
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Action == plan.Stop || step.Action == plan.Delete || step.Action == plan.Unchanged || step.Selects || len(tasks) == MostPlaces {
			continue
		}
		look := g.Standing(step)
		if look == nil {
			continue
		}
		tasks = append(tasks, func() {
			if standing, ok := look(ctx); ok {
				s.stands(step, standing)
			}
		})
	}
	keys := 0
	read := make(map[string]compose.Value) // no longer than this looking takes
	for i, path := range p.Paths() {
		if i >= MostPaths || !l.versions.AllowN(now, 1) {
			s.Unlooked++
			continue
		}
		withKeys := keys < MostKeys && l.keys.AllowN(now, 1)
		if withKeys {
			keys++
		}
		tasks = append(tasks, func() {
			v, whole, ok := g.Value(ctx, path, withKeys)
			s.mu.Lock()
			defer s.mu.Unlock()
			if !ok {
				s.Unlooked++
				return
			}
			s.values[path] = v
			if whole != nil {
				read[path] = *whole
			}
		})
	}
	run(tasks)
	s.unfit = misfits(ctx, p, definitions, read)
	return s
}

// run has some tasks done, only so many at once, and waits for all.
func run(tasks []func()) {
	work := make(chan func())
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			for task := range work {
				task()
			}
		})
	}
	for _, task := range tasks {
		work <- task
	}
	close(work)
	group.Wait()
}

// misfits makes the copies of those definitions whose values were all read, till ctx
// ends, and says of which none can be made.
func misfits(ctx context.Context, p *plan.Plan, definitions map[string]definition.Definition, read map[string]compose.Value) map[definition.Name]*fault.Fault {
	unfit := make(map[definition.Name]*fault.Fault)
	done := make(map[string]bool)
	for i := range p.Steps {
		name := p.Steps[i].Definition
		d, ok := definitions[name]
		if !ok || done[name] || p.Steps[i].Action == plan.Stop || p.Steps[i].Action == plan.Delete {
			continue
		}
		if ctx.Err() != nil {
			break // what is left was not looked at
		}
		done[name] = true
		values := make(map[definition.SecretPath]compose.Value)
		for _, path := range d.Paths() {
			if v, ok := read[path.String()]; ok {
				values[path] = v
			}
		}
		if len(values) < len(d.Paths()) {
			continue
		}
		if _, f := compose.Of(d).Data(values); f != nil {
			unfit[d.Name] = f
		}
	}
	return unfit
}

// Proposed are the definitions that a plan's steps are of, by name: as they will be, and
// of a file that is none the last valid one.
func Proposed(from, to definition.Set) map[string]definition.Definition {
	all := make(map[string]definition.Definition)
	for i := range from.Definitions {
		all[from.Definitions[i].Name.String()] = from.Definitions[i].Definition
	}
	for i := range to.Definitions {
		all[to.Definitions[i].Name.String()] = to.Definitions[i].Definition
	}
	for _, invalid := range to.Invalid {
		if invalid.Last != nil {
			all[invalid.Name.String()] = invalid.Last.Definition
		}
	}
	return all
}
