package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/cleanup"
	"secretsync/reconcile/compose"
	"secretsync/reconcile/decide"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/lookout"
	"secretsync/reconcile/plan"
	"secretsync/reconcile/reach"
	"secretsync/reconcile/sweep"
	"secretsync/reconcile/vault"
	"secretsync/reconcile/vault/kv"
)

// mostSteps is how many steps of a plan are listed.
const mostSteps = 5000

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
	in := plan.Input{From: from, To: to, Reach: t.reach(), Selected: t.selectedNow, NoRoom: t.noRoom, Copy: t.copyAt, Brake: t.wouldHold}
	p := plan.Make(in)
	if !look {
		p.Bound(mostSteps)
		return p, nil
	}
	looking, done, err := t.lookout.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if end := t.learn(looking, to); end != nil {
		defer end()
		p = plan.Make(in)
	}
	definitions := lookout.Proposed(from, to)
	seen := t.lookout.Look(looking, t.clock.Now(), p, definitions, prospect{t, p, definitions})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in.Live = seen
	p = plan.Make(in)
	p.Live, p.Unlooked = true, seen.Unlooked
	p.Bound(mostSteps)
	return p, nil
}

// copyAt returns what of ours stands in a place; see [plan.Input].
func (t *tenant) copyAt(p definition.Place, shares definition.Name) (plan.Copy, bool) {
	t.mu.RLock()
	g, ok := t.grants[p.Cluster]
	t.mu.RUnlock()
	if !ok || !g.Allows(p.Namespace.String()) {
		return plan.Copy{}, false
	}
	at := copies.Key{Namespace: p.Namespace.String(), Name: p.Secret.String()}
	seen := g.connection.kube.Look(at)
	if seen.Fault != nil {
		return plan.Copy{}, false
	}
	found := plan.Copy{Keys: seen.Copy.Shared(t.name.String())}
	for c := range seen.Copy.Counted() {
		if c.Owner.Tenant != t.name.String() || c.Part && c.Name != shares.String() || !c.Part && shares != (definition.Name{}) {
			continue
		}
		candidate := sweep.CandidateOf("", at, c)
		candidate.Policy = cleanup.Policy{Deletes: true, Merges: c.Part}
		found.Definition, found.Goes = c.Name, c.Intact && candidate.Stays() == ""
	}
	return found, true
}

// wouldHold says why the brake would hold so many more copies, if nothing else went
// meanwhile.
func (t *tenant) wouldHold(going int) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := 0
	for _, g := range t.grants {
		for _, c := range g.connection.kube.Copies(t.name.String(), g.Allows) {
			if c.Watched {
				all++
			}
		}
	}
	return t.sweeper.Brake().Holds(going, all)
}

// reach is what the tenant may reach now.
func (t *tenant) reach() reach.Reach {
	t.mu.RLock()
	grants := t.grants // replaced as a whole, never changed
	t.mu.RUnlock()
	r := reach.Reach{Tenant: t.name, Grants: make(map[definition.ClusterName]reach.Grant, len(grants)), Shortest: time.Duration(t.least.Load())}
	for alias, g := range grants {
		r.Grants[alias] = g.Grant
	}
	r.Physical = func(alias definition.ClusterName) string {
		c := grants[alias].connection
		if identity := c.identity.Load(); identity != nil {
			return *identity
		}
		return "name:" + c.name
	}
	r.Mount, r.Prefix = t.broker.Place()
	return r
}

// prospect is what is there for a plan, with the definitions as they will be.
type prospect struct {
	*tenant
	plan        *plan.Plan
	definitions map[string]definition.Definition
}

// Standing looks at the place of a step; see [lookout.Ground].
func (t prospect) Standing(step *plan.Step) func(context.Context) (plan.Standing, bool) {
	alias, err := definition.ParseClusterName(step.Cluster)
	if err != nil {
		return nil
	}
	t.mu.RLock()
	g, ok := t.grants[alias]
	t.mu.RUnlock()
	if !ok || !g.Allows(step.Namespace) {
		return nil
	}
	var others map[copies.Owner]copies.Claim
	if step.Shares != (definition.Name{}) {
		others = t.sharing(g.connection, t.plan, step, t.definitions)
	}
	return func(ctx context.Context) (plan.Standing, bool) {
		return t.standingOf(ctx, g.connection, step, t.definitions[step.Definition], others)
	}
}

// sharing is what the other definitions will ask for of the Secret that a step shares:
// those that share it now, as they will be, and those that the plan has come or go.
func (t *tenant) sharing(c *connection, p *plan.Plan, step *plan.Step, definitions map[string]definition.Definition) map[copies.Owner]copies.Claim {
	at, owner := copies.Key{Namespace: step.Namespace, Name: step.Secret}, copies.Owner{Tenant: t.name.String(), Name: step.Definition}
	others := make(map[copies.Owner]copies.Claim)
	enter := func(o copies.Owner) {
		if d, ok := definitions[o.Name]; ok && d.Shape.Merges() && o != owner {
			others[o] = claimOf(compose.Of(d))
		}
	}
	for o := range t.atlas.siteOf(c).others(at, owner) {
		enter(o)
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		switch o := (copies.Owner{Tenant: owner.Tenant, Name: s.Definition}); {
		case s.Namespace != step.Namespace || s.Secret != step.Secret || s.Shares == (definition.Name{}) || !t.reaches(c, s.Cluster):
		case s.Action == plan.Stop || s.Action == plan.Delete:
			delete(others, o)
		default:
			enter(o)
		}
	}
	return others
}

// reaches reports whether a name of a cluster leads where a connection does.
func (t *tenant) reaches(c *connection, name string) bool {
	alias, err := definition.ParseClusterName(name)
	if err != nil {
		return false
	}
	t.mu.RLock()
	g, ok := t.grants[alias]
	t.mu.RUnlock()
	return ok && t.atlas.siteOf(g.connection) == t.atlas.siteOf(c)
}

// standingOf judges what stands in the place of a step as a pass would, were the
// target there already and its value known. others are of a share.
func (t *tenant) standingOf(ctx context.Context, c *connection, step *plan.Step, d definition.Definition, others map[copies.Owner]copies.Claim) (plan.Standing, bool) {
	now, recipe := t.clock.Now(), compose.Of(d)
	in := decide.Input{
		Now: now, At: copies.Key{Namespace: step.Namespace, Name: step.Secret}, Owner: copies.Owner{Tenant: t.name.String(), Name: step.Definition},
		Alias: step.Cluster, Type: recipe.Type(), Interval: t.interval(), Path: step.Path, Cluster: c.outage(),
		Source: vault.State{Known: true, Version: kv.Version{Number: 1}, Confirmed: true},
	}
	if in.Cluster == nil {
		var err error
		if in.Seen, err = c.kube.Peek(ctx, in.At, in.Owner); err != nil {
			return plan.Standing{}, false
		}
	}
	in.Seen.Left = false
	if d.Shape.Merges() {
		in.Share(claimOf(recipe), others, nil)
	}
	copied := in.Seen.Copy
	if copied != nil {
		in.Record.Looked(copied, now)
	}
	standing := plan.Standing{Fault: decide.Next(&in).Fault}
	if f := standing.Fault; f != nil && f.Reason == fault.ReasonQueued {
		standing.Fault = nil
	}
	if standing.Fault == nil && t.suspended.Load() {
		standing.Fault = fault.New(fault.Pending, fault.ReasonSuspended, "tenant %s is suspended by the operator's configuration, so nothing is written", t.name)
	}
	if copied != nil && copied.Owner.Tenant == in.Owner.Tenant {
		standing.Definition, standing.Path, standing.Version = copied.Name, copied.Path, copied.Version
	}
	return standing, true
}

// Value asks the vault what there is at a path; see [lookout.Ground].
func (t prospect) Value(ctx context.Context, path string, keys bool) (v plan.Value, whole *compose.Value, ok bool) {
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
			return plan.Value{Fault: &down.Fault}, nil, down.Reason != fault.ReasonQueued // which is that of a login under way
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

// learn has the labels known of all clusters in which definitions select, and waits
// for that while they can be reached and ctx lasts. The returned function ends it;
// nil where nothing is selected.
func (t *tenant) learn(ctx context.Context, of definition.Set) (end func()) {
	t.mu.RLock()
	grants := t.grants
	t.mu.RUnlock()
	var asked []*connection
	for i := range of.Definitions {
		for _, spec := range of.Definitions[i].Sync {
			g, ok := grants[spec.Cluster]
			if ok && !spec.Selector.IsZero() && !slices.Contains(asked, g.connection) {
				asked = append(asked, g.connection)
				g.connection.label(t)
			}
		}
	}
	if asked == nil {
		return nil
	}
	none := func(string, labels.Set) bool { return false }
	for _, c := range asked {
		for {
			changed := t.changes.wait()
			_, unknown := c.kube.Select(none)
			if unknown == nil || unknown.Reason != fault.ReasonQueued || c.outage() != nil || ctx.Err() != nil {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
	return func() {
		for _, c := range asked {
			c.unlabel(t)
		}
	}
}

// selectedNow returns what a target selects now, as far as the tenant is granted it; see
// [plan.Input].
func (t *tenant) selectedNow(spec definition.Target) plan.Selection {
	t.mu.RLock()
	g, ok := t.grants[spec.Cluster]
	t.mu.RUnlock()
	if !ok {
		return plan.Selection{}
	}
	selector := spec.Selector.Compile()
	names, unknown := g.connection.kube.Select(func(name string, set labels.Set) bool {
		return g.Allows(name) && selector.Matches(set)
	})
	if unknown != nil {
		return plan.Selection{}
	}
	if f := t.tooMany(spec, len(names)); f != nil {
		return plan.Selection{Fault: f}
	}
	slices.Sort(names)
	all := make([]definition.Namespace, 0, len(names))
	for _, name := range names {
		if n, err := definition.ParseNamespace(name); err == nil {
			all = append(all, n)
		}
	}
	return plan.Selection{Known: true, Namespaces: all}
}
