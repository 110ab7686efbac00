package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/compose"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/plan"
	"secretsync/reconcile/vault"
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
	mostPlacesSeen = 200
	mostPathsSeen  = 200
	mostKeysSeen   = 50
	// mostSteps is how many are listed.
	mostSteps = 5000
	// previewsAtOnce is how many of either are under way for one plan.
	previewsAtOnce = 4
	// previewTime is how long looking takes at most: what did not come by then is
	// told as not looked up.
	previewTime = 10 * time.Second
)

// lookouts are what bounds a tenant's plans.
type lookouts struct {
	turn     chan struct{} // one plan looks at a time
	versions *rate.Limiter
	keys     *rate.Limiter
}

func newLookouts() lookouts {
	return lookouts{turn: make(chan struct{}, 1), versions: rate.NewLimiter(4, 2*mostPathsSeen), keys: rate.NewLimiter(1, 2*mostKeysSeen)}
}

// Plan works out what a change of a tenant's definitions does, judged by what is
// granted to the tenant now. With look it also looks at what stands in the
// clusters and what the tenant's vault has at the paths it would copy, all of it
// without effect and within bounds; see [plan.Plan.Unlooked]. Of values it tells
// versions and the names of keys.
func (r *Reconciler) Plan(ctx context.Context, name gitstore.TenantName, from, to definition.Set, look bool) (*plan.Plan, error) {
	t := r.tenant(name)
	if t == nil {
		return nil, fmt.Errorf("tenant %s: %w", name, gitstore.ErrNotFound)
	}
	in := plan.Input{From: from, To: to, Reach: t.reach(), Selected: t.selectedNow, Holder: t.holderOf, Brake: t.wouldHold}
	p := plan.Make(in)
	if !look {
		p.Bound(mostSteps)
		return p, nil
	}
	select {
	case t.lookouts.turn <- struct{}{}:
		defer func() { <-t.lookouts.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	looking, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	if end := t.learn(looking, to); end != nil {
		defer end()
		p = plan.Make(in)
	}
	seen := t.look(looking, p, proposed(from, to))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in.Live = seen
	p = plan.Make(in)
	p.Live, p.Unlooked = true, seen.unlooked
	p.Bound(mostSteps)
	return p, nil
}

// holderOf returns the definition whose copy stands in a place; see [plan.Input].
func (t *tenant) holderOf(p definition.Place) (string, bool) {
	t.mu.RLock()
	g, ok := t.grants[p.Cluster]
	t.mu.RUnlock()
	if !ok || !p.Selector.IsZero() || !allows(g.namespaces, p.Namespace.String()) {
		return "", false
	}
	seen := g.connection.kube.Look(kube.Key{Namespace: p.Namespace.String(), Name: p.Secret.String()})
	switch c := seen.Copy; {
	case seen.Fault != nil:
		return "", false
	case c == nil || c.Owner.Tenant != t.name.String():
		return "", true
	default:
		return c.Name, true
	}
}

// wouldHold says why the brake would hold so many more copies, if nothing else went
// meanwhile.
func (t *tenant) wouldHold(going int) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := 0
	for _, g := range t.grants {
		for at, c := range g.connection.kube.Copies() {
			if c.Watched && c.Tenant == t.name.String() && allows(g.namespaces, at.Namespace) {
				all++
			}
		}
	}
	return t.cleaning.brake.Load().Holds(going, all)
}

// granted is what a tenant may reach now; see [plan.Reach].
type granted struct {
	tenant        gitstore.TenantName
	grants        map[definition.ClusterName]grant
	mount, prefix string
	least         time.Duration
}

func (t *tenant) reach() granted {
	g := granted{tenant: t.name, least: time.Duration(t.least.Load())}
	t.mu.RLock()
	g.grants = t.grants // replaced as a whole, never changed
	t.mu.RUnlock()
	g.mount, g.prefix = t.broker.Place()
	return g
}

func (g granted) Registered(name definition.ClusterName) bool {
	_, ok := g.grants[name]
	return ok
}

// Cluster is the physical one, as soon as that is known.
func (g granted) Cluster(name definition.ClusterName) string {
	c := g.grants[name].connection
	if identity := c.identity.Load(); identity != nil {
		return *identity
	}
	return "name:" + c.name
}

func (g granted) Admit(t definition.Target) *fault.Fault {
	at, ok := g.grants[t.Cluster]
	return refusal(g.tenant, t, ok, at.namespaces)
}

func (g granted) Vault() (mount, prefix string) { return g.mount, g.prefix }

func (g granted) Least() time.Duration { return g.least }

// sighting is what was found; see [plan.Live].
type sighting struct {
	mu        sync.Mutex
	standings map[string]plan.Standing
	values    map[string]plan.Value
	unfit     map[definition.Name]*fault.Fault
	unlooked  int // paths that were not looked up
}

func (s *sighting) Standing(p definition.Place, shares definition.Name) (plan.Standing, bool) {
	standing, ok := s.standings[sought(p.String(), shares)]
	return standing, ok
}

// sought tells one definition's share of a Secret from all of it.
func sought(place string, shares definition.Name) string {
	if shares == (definition.Name{}) {
		return place
	}
	return place + "#" + shares.String()
}

func (s *sighting) Value(p definition.SecretPath) (plan.Value, bool) {
	v, ok := s.values[p.String()]
	return v, ok
}

func (s *sighting) Unfit(n definition.Name) *fault.Fault { return s.unfit[n] }

// proposed are the definitions that a plan's steps are of: as they will be, and of a
// file that is none the last valid one.
func proposed(from, to definition.Set) map[string]definition.Definition {
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

// look looks at what a plan of these definitions is about, till ctx ends.
func (t *tenant) look(ctx context.Context, p *plan.Plan, definitions map[string]definition.Definition) *sighting {
	s := &sighting{standings: make(map[string]plan.Standing), values: make(map[string]plan.Value)}
	reach := t.reach()
	var tasks []func()
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Action == plan.Stop || step.Action == plan.Delete || step.Action == plan.Unchanged || step.Selects || len(tasks) == mostPlacesSeen {
			continue
		}
		alias, err := definition.ParseClusterName(step.Cluster)
		g, ok := reach.grants[alias]
		if err != nil || !ok || !allows(g.namespaces, step.Namespace) {
			continue
		}
		tasks = append(tasks, func() {
			standing, ok := t.standingOf(ctx, g.connection, step, definitions[step.Definition])
			s.mu.Lock()
			defer s.mu.Unlock()
			if ok {
				s.standings[sought(step.Place(), step.Shares)] = standing
			}
		})
	}
	now := t.clock.Now()
	keys := 0
	read := make(map[string]compose.Value) // no longer than this looking takes
	for i, path := range p.Paths() {
		if i >= mostPathsSeen || !t.lookouts.versions.AllowN(now, 1) {
			s.unlooked++
			continue
		}
		withKeys := keys < mostKeysSeen && t.lookouts.keys.AllowN(now, 1)
		if withKeys {
			keys++
		}
		tasks = append(tasks, func() {
			v, whole, ok := t.valueOf(ctx, path, withKeys)
			s.mu.Lock()
			defer s.mu.Unlock()
			if whole != nil {
				read[path] = *whole
			}
			if s.values[path] = v; !ok {
				delete(s.values, path)
				s.unlooked++
			}
		})
	}
	work := make(chan func())
	var group sync.WaitGroup
	for range previewsAtOnce {
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
	s.unfit = misfits(p, definitions, read)
	return s
}

// misfits makes the copies of those definitions whose values were all read, and says
// of which none can be made.
func misfits(p *plan.Plan, definitions map[string]definition.Definition, read map[string]compose.Value) map[definition.Name]*fault.Fault {
	unfit := make(map[definition.Name]*fault.Fault)
	done := make(map[string]bool)
	for i := range p.Steps {
		name := p.Steps[i].Definition
		d, ok := definitions[name]
		if !ok || done[name] || p.Steps[i].Action == plan.Stop || p.Steps[i].Action == plan.Delete {
			continue
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

// standingOf judges what stands in the place of a step as a pass would, were the
// target there already and its value known.
func (t *tenant) standingOf(ctx context.Context, c *connection, step *plan.Step, d definition.Definition) (plan.Standing, bool) {
	now := t.clock.Now()
	in := input{
		now: now, at: kube.Key{Namespace: step.Namespace, Name: step.Secret}, owner: kube.Owner{Tenant: t.name.String(), Name: step.Definition},
		alias: step.Cluster, kind: compose.Of(d).Type(), interval: t.interval(), path: step.Path, cluster: c.outage(),
		source: vault.State{Known: true, Version: vault.Version{Number: 1}, Confirmed: true},
	}
	if in.cluster == nil {
		var err error
		if in.seen, err = c.kube.Peek(ctx, in.at, in.owner); err != nil {
			return plan.Standing{}, false
		}
	}
	in.seen.Left = false
	if d.Shape.Merges() {
		site := t.atlas.siteOf(c)
		in.shareOf(claimOf(d, compose.Of(d)), func(o kube.Owner) bool { return o != in.owner && site.shares(in.at, o) })
	}
	copied := in.seen.Copy
	if copied != nil {
		in.record.look = &look{version: copied.ResourceVersion, at: now}
	}
	standing := plan.Standing{Fault: decide(&in).fault}
	if f := standing.Fault; f != nil && f.Reason == ReasonQueued {
		standing.Fault = nil
	}
	if standing.Fault == nil && t.suspended.Load() {
		standing.Fault = fault.New(Pending, ReasonSuspended, "tenant %s is suspended by the operator's configuration, so nothing is written", t.name)
	}
	if copied != nil && copied.Owner.Tenant == in.owner.Tenant {
		standing.Definition, standing.Path, standing.Version = copied.Name, copied.Path, copied.Version
	}
	return standing, true
}

// valueOf asks the vault for the version at a path and, with keys, for the names
// of its keys, which only the value tells: that is whole then. ok is false if no
// answer came in time.
func (t *tenant) valueOf(ctx context.Context, path string, keys bool) (v plan.Value, whole *compose.Value, ok bool) {
	news := make(chan struct{}, 1)
	source := t.broker.Source(path, func() {
		select {
		case news <- struct{}{}:
		default:
		}
	})
	defer source.Close()
	var value *vault.Request
	if keys {
		value = source.Request()
		defer value.Release()
	} else {
		source.Look()
	}
	for {
		state := source.State()
		if state.Known && state.Fault != nil {
			return plan.Value{Version: state.Version.Number, Fault: state.Fault}, nil, true
		}
		if down := t.broker.Outage(); down != nil && !state.Known {
			return plan.Value{Fault: &down.Fault}, nil, down.Reason != ReasonQueued // which is that of a login under way
		}
		if state.Known && !keys {
			return plan.Value{Version: state.Version.Number}, nil, true
		}
		if keys {
			if held, ok := value.Value(); ok {
				whole := t.whole(path, held)
				return plan.Value{Version: held.Number, Keys: slices.Sorted(maps.Keys(held.Data))}, &whole, true
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return v, nil, false
		}
	}
}
