package reconcile

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/reconcile/cleanup"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/verify"
)

var properties atomic.Uint64

// TestEveryCopyIsWhatItsDefinitionSays commits definitions with any of their fields
// at random, changes them by hand and field by field as a PATCH does, writes values,
// labels namespaces, meddles with copies, suspends the tenant and restarts the server.
// After each step the clusters and the statuses must come to what a model says that
// shares no code with what it judges (model_test.go); the plan must have foretold just
// the Secrets that were written; and a file is as it was, byte for byte, but for the
// fields that were named.
//
// SECRETSYNC_PROPERTY is how many steps it takes, SECRETSYNC_SEED which sequence it
// plays first; with -count it is another one each time.
func TestEveryCopyIsWhatItsDefinitionSays(t *testing.T) {
	steps, err := strconv.Atoi(cmpOr(os.Getenv("SECRETSYNC_PROPERTY"), "150"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmpOr(os.Getenv("SECRETSYNC_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	seed += properties.Add(1) - 1
	t.Parallel()
	p := newProperty(t, seed)
	for range steps {
		p.step()
	}
	lies, err := verify.Check(t.Context(), p.verifiable(verify.DefaultGrace))
	p.must(err)
	for _, l := range lies {
		t.Errorf("a lie: %v", l)
	}
	if strings.Contains(p.logs.String(), "panicked") || strings.Contains(p.logs.String(), canary) {
		t.Error("the log tells of a panic, or a value")
	}
	t.Logf("seed %d: %d steps, of which %d commits changed %d Secrets that a plan had foretold", seed, p.steps, p.commits, p.foretold)
}

// canary begins every text of a value that is to be found nowhere but in Secrets.
const canary = "hunter2"

// property is a world, with a model of what should be.
type property struct {
	*world
	should                   *model
	rand                     *rand.Rand
	seed                     uint64
	steps, commits, foretold int
	files                    map[string]string // the text of each definition
	want                     map[string]map[spot][]fault.Reason
	meddled                  map[spot]int // how often, since the start: more is a fight
	made                     int          // texts that somebody wrote
	did                      string       // in words
}

func newProperty(t *testing.T, seed uint64) *property {
	p := &property{rand: rand.New(rand.NewPCG(seed, 4)), seed: seed, files: make(map[string]string), meddled: make(map[spot]int)}
	p.world = newWorld(t, func(w *world) {
		w.config.Brake = &cleanup.Brake{Copies: 1 << 30, Share: 100}
		for alias, g := range w.config.Tenants[0].Clusters {
			g.Namespaces = []string{w.name, w.name + "-?"}
			w.config.Tenants[0].Clusters[alias] = g
		}
	})
	p.should = &model{
		tenant: p.name, values: make(map[string]*modelValue), definition: make(map[string]*spec), removed: make(map[string]*spec),
		stands: make(map[spot]*secret), namespaces: make(map[string]map[string]string),
		granted: []string{p.name, p.name + "-a", p.name + "-b", p.name + "-c"},
	}
	for range 2 {
		certificate, key := pair(t, canary)
		p.should.pairs = append(p.should.pairs, [2]string{certificate, key})
	}
	for _, cluster := range []string{"production", "staging"} {
		p.should.namespaces[cluster+"/"+p.name] = map[string]string{}
		for _, namespace := range p.should.granted[1:3] { // the last one comes later, if at all
			p.label(cluster, namespace, `{"team":null}`)
			p.should.namespaces[cluster+"/"+namespace] = map[string]string{}
		}
		p.label(cluster, "foreign-"+p.name, `{"team":"x"}`)
		p.madeBySomebody(spot{cluster, p.name, "foreign"}, somebodysSecret(map[string]string{"theirs": "x", "a": "theirs"}, map[string]string{"theirs": "stays", "tier": "1"}))
		p.madeBySomebody(spot{cluster, p.name, "def-0"}, somebodysSecret(map[string]string{"theirs": "x", "k": "theirs"}, map[string]string{"theirs": "stays"}, "def-0", "def-5"))
	}
	p.reachable()
	for i := range 3 {
		p.write(fmt.Sprintf("p%d", i))
	}
	p.want = p.should.settle()
	return p
}

func (p *property) some(of ...string) string { return of[p.rand.IntN(len(of))] }

// oneIn is true once in so many times.
func (p *property) oneIn(n int) bool { return p.rand.IntN(n) == 0 }

func (p *property) step() {
	p.t.Helper()
	p.steps++
	name := fmt.Sprintf("def-%d", p.rand.IntN(8))
	_, there := p.should.definition[name]
	switch n := p.rand.IntN(100); {
	case n < 50 && !there:
		p.commit(name, p.anySpec(name), nil)
	case n < 40:
		p.patched(name)
	case n < 47:
		s := p.anySpec(name)
		p.commit(name, s, nil)
	case n < 55 && there:
		p.commit(name, nil, nil)
	case n < 73:
		p.value()
	case n < 85:
		p.labelled()
	case n < 90:
		p.meddle()
	case n < 95:
		p.interfere()
	case n < 97:
		p.should.suspended = !p.should.suspended
		p.did = fmt.Sprintf("the tenant's suspension is %t", p.should.suspended)
		p.config.Tenants[0].Suspend = p.should.suspended
		p.must(p.r.Reconfigure(p.config))
	default:
		p.did = "a restart"
		p.restart(func() error { return nil })
		clear(p.meddled)
	}
	if p.did != "" {
		p.want = p.should.settle()
		p.converge()
	}
	p.did = ""
}

// fail ends the test with all that is known.
func (p *property) fail(what string) {
	p.t.Helper()
	var files strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		fmt.Fprintf(&files, "--- %s\n%s", name, p.files[name])
	}
	p.t.Fatalf("seed %d, step %d, after %s: %s\nthe definitions:\n%s", p.seed, p.steps, p.did, what, files.String())
}

// converge waits until all is as the model says, and stays so once the clean-up has looked.
func (p *property) converge() {
	p.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		differs := p.differs()
		if differs == "" {
			break
		}
		if time.Now().After(end) {
			p.fail(differs)
		}
	}
	p.pin()
	if !p.should.suspended {
		p.weighed()
		if differs := p.copiesDiffer(); differs != "" {
			p.fail("it was right, and is not any more: " + differs)
		}
	}
}

func (p *property) differs() string {
	if differs := p.copiesDiffer(); differs != "" {
		return differs
	}
	for _, name := range slices.Sorted(maps.Keys(p.want)) {
		e, found := p.repo.Snapshot().Get(p.parse(name))
		if !found {
			return name + " is not at HEAD"
		}
		s := p.r.Status(p.tenant(), e)
		if said := fmt.Sprintf("%+v", s); strings.Contains(said, canary) || strings.Contains(said, "BEGIN") {
			p.fail("a status tells a value: " + said)
		}
		if len(s.Targets) != len(p.want[name]) {
			return fmt.Sprintf("%s should have the targets %v; it stands at %+v", name, p.want[name], s)
		}
		for _, x := range s.Targets {
			at := spot{x.Target.Cluster.String(), x.Target.Namespace.String(), x.Secret.String()}
			want, ok := p.want[name][at]
			if !ok || !slices.Contains(want, x.Reason) {
				return fmt.Sprintf("%s should be %v at %v; it stands at %+v", name, want, at, x)
			}
			if x.Reason == fault.ReasonSynced && (x.Observed != e.Revision || x.VaultVersion != p.should.stands[at].records[name].version) {
				return fmt.Sprintf("%s is Synced at %v, judged by %s and not %s, with version %d and not %d", name, at, x.Observed, e.Revision, x.VaultVersion, p.should.stands[at].records[name].version)
			}
		}
	}
	return ""
}
