package lookout

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
	"secretsync/reconcile/compose"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/plan"
)

// ground answers everything at once, and counts.
type ground struct {
	refused string // the namespace that the tenant may not look at
	silent  string // the path of which no answer comes

	mu                  sync.Mutex
	places, paths, keys int
	under, most         int // how many look now, and did at most
}

func (g *ground) Standing(step *plan.Step) func(context.Context) (plan.Standing, bool) {
	if step.Namespace == g.refused {
		return nil
	}
	return func(context.Context) (plan.Standing, bool) {
		defer g.begin(&g.places)()
		return plan.Standing{Definition: step.Definition}, true
	}
}

func (g *ground) Value(_ context.Context, path string, keys bool) (plan.Value, *compose.Value, bool) {
	defer g.begin(&g.paths)()
	if path == g.silent {
		return plan.Value{}, nil, false
	}
	if !keys {
		return plan.Value{Version: 1}, nil, true
	}
	g.mu.Lock()
	g.keys++
	g.mu.Unlock()
	return plan.Value{Version: 1}, &compose.Value{}, true
}

func (g *ground) begin(count *int) (end func()) {
	g.mu.Lock()
	*count++
	g.under++
	g.most = max(g.most, g.under)
	g.mu.Unlock()
	for range 10 {
		runtime.Gosched() // so that others, if they may, begin before this one ends
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.under--
	}
}

// creating is a plan of so many new copies, each of a path of its own.
func creating(n int) *plan.Plan {
	p := &plan.Plan{}
	for i := range n {
		name := fmt.Sprintf("d%d", i)
		p.Steps = append(p.Steps, plan.Step{Action: plan.Create, Cluster: "eu", Namespace: "default", Secret: name, Definition: name, Path: name})
	}
	return p
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestAPlanLooksAtSoMuchAndNoMore(t *testing.T) {
	for name, test := range map[string]struct {
		plan                          *plan.Plan
		ground                        *ground
		places, paths, keys, unlooked int
	}{
		"a plan of nothing looks at nothing":           {plan: &plan.Plan{}},
		"a small one looks at all":                     {plan: creating(3), places: 3, paths: 3, keys: 3},
		"of many values only the versions are told":    {plan: creating(MostKeys + 10), places: MostKeys + 10, paths: MostKeys + 10, keys: MostKeys},
		"a large one leaves out what is too much":      {plan: creating(MostPaths + 7), places: MostPlaces, paths: MostPaths, keys: MostKeys, unlooked: 7},
		"where the tenant may not, nobody looks":       {plan: creating(3), ground: &ground{refused: "default"}, paths: 3, keys: 3},
		"what does not answer counts as not looked up": {plan: creating(3), ground: &ground{silent: "d1"}, places: 3, paths: 3, keys: 2, unlooked: 1},
		"what stops or stays as it is needs no look": {plan: &plan.Plan{Steps: []plan.Step{
			{Action: plan.Stop, Path: "a"}, {Action: plan.Delete, Path: "b"}, {Action: plan.Unchanged, Path: "c"},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := test.ground
			if g == nil {
				g = &ground{}
			}
			s := New().Look(t.Context(), noon, test.plan, nil, g)
			if g.places != test.places || g.paths != test.paths || g.keys != test.keys || s.Unlooked != test.unlooked {
				t.Errorf("%d places, %d paths, of %d the keys; %d paths not looked up", g.places, g.paths, g.keys, s.Unlooked)
			}
			if g.most > atOnce {
				t.Errorf("%d were asked at once", g.most)
			}
		})
	}
}

func TestATenantsBudgetComesBackSlowly(t *testing.T) {
	l := New()
	left := func(now time.Time) int {
		g := &ground{}
		l.Look(t.Context(), now, creating(MostPaths), nil, g)
		return g.paths
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, MostPaths}, {0, MostPaths}, {0, 0}, {time.Second, 4}, {time.Minute, MostPaths}} {
		if got := left(noon.Add(step.after)); got != step.want {
			t.Errorf("after %s %d paths are looked up, not %d", step.after, got, step.want)
		}
	}
}

func TestOnePlanLooksAtATime(t *testing.T) {
	l := New()
	_, end, err := l.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.Begin(ctx); err == nil {
		t.Fatal("two look at once")
	}
	end()
	looking, end, err := l.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end()
	if looking.Err() == nil {
		t.Error("whoever looks on after its turn is not stopped")
	}
}

// A change may be of a thousand definitions, each of which takes as long as a copy may.
func TestCopiesAreMadeForAPlanNoLongerThanItMayLook(t *testing.T) {
	d, err := parse.File("secrets/db.yaml", []byte("name: db\nsecretPath: db\ndata: {k: {template: '{{ .missing }}'}}\nsync: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Steps: []plan.Step{{Action: plan.Create, Definition: "db", Path: "db"}}}
	look := func(ctx context.Context) *fault.Fault {
		return New().Look(ctx, noon, p, map[string]definition.Definition{"db": d}, &ground{}).Unfit(d.Name)
	}
	if f := look(t.Context()); f == nil || f.Reason != fault.ReasonTemplateFailed {
		t.Errorf("%+v", f)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if f := look(ended); f != nil {
		t.Errorf("after its time was over: %+v", f)
	}
}
