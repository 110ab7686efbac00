package verify

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// scene is a whole world in memory that a test changes between looks.
type scene struct {
	mu      sync.Mutex
	looks   int // at statuses
	began   time.Time
	change  func(s *scene, since time.Duration) // before each look at the statuses
	facts   *facts                              // of the only target
	missing bool                                // no claim at all
	broken  error                               // of the status
}

func (s *scene) Claims(context.Context) ([]Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.change != nil {
		s.change(s, time.Since(s.began))
	}
	if s.missing || s.broken != nil {
		return nil, s.broken
	}
	phase := "Active"
	switch s.facts.claim.State {
	case "Pending":
		phase = "Pending"
	case "Error":
		phase = "Failed"
	}
	d := s.facts.definition
	return []Claim{{Definition: d.Name, Path: d.Path, Sync: d.Places, Phase: phase, Reason: s.facts.claim.Reason, Targets: []TargetClaim{s.facts.claim}}}, nil
}

func (s *scene) Definitions(context.Context) ([]Definition, error) {
	return []Definition{s.facts.definition}, nil
}

func (s *scene) At(context.Context, string, string) (*Definition, error) {
	if !s.facts.originKnown {
		return nil, ErrNoCommit
	}
	return s.facts.origin, nil
}

func (s *scene) Value(context.Context, string) (Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.facts.value, s.facts.valueErr
}

func (s *scene) Secret(context.Context, string, string) (*Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.facts.secret, s.facts.clusterErr
}

func (s *scene) Namespace(context.Context, string) (Namespace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.facts.namespace, s.facts.clusterErr
}

func (s *scene) Namespaces(context.Context) (map[string]Namespace, error) {
	n, err := s.Namespace(context.Background(), "")
	return map[string]Namespace{"default": n}, err
}

const (
	testGrace    = 5 * time.Second
	testInterval = time.Minute
)

// check plays a scene on a clock of its own and returns the kinds of lies that
// were found, how long it took, and what could not be seen.
func (s *scene) check(t *testing.T) (kinds string, took time.Duration, unseen error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s.began = time.Now()
		lies, err := Check(t.Context(), Sources{
			Tenants: []Tenant{{
				Name: "acme", Head: s, Status: s, Vault: s, Interval: testInterval,
				Clusters: map[string]Grant{"production": {Cluster: "registered", Namespaces: []string{"def*"}}},
			}},
			Clusters: map[string]Cluster{"registered": s},
			Grace:    testGrace,
		})
		unseen, took = err, time.Since(s.began)
		var all []string
		for _, l := range lies {
			all = append(all, string(l.Kind))
		}
		kinds = strings.Join(all, " ")
	})
	return kinds, took, unseen
}

func TestADifferenceIsALieOnlyOnceTheServerHadItsTime(t *testing.T) {
	wipe := func(f *facts) { f.secret, f.originKnown = nil, false }
	newVersion := func(f *facts) { f.value.Version = 4; f.value.Created = time.Now() }
	for name, c := range map[string]struct {
		start  func(*facts)
		change func(s *scene, since time.Duration)
		want   string
		least  time.Duration
		most   time.Duration
	}{
		"all is right":                                   {func(*facts) {}, nil, "", 0, 0},
		"a copy stays away":                              {wipe, nil, "absent", testGrace, testGrace + 2*time.Second},
		"a copy comes back":                              {wipe, func(s *scene, since time.Duration) { s.facts.secret = when(since > 3*time.Second, right().secret) }, "", 3 * time.Second, 5 * time.Second},
		"a copy is away at some looks only":              {wipe, func(s *scene, _ time.Duration) { s.facts.secret = when(s.looks%4 > 1, right().secret) }, "", 0, 3 * time.Second},
		"the status moves with each look":                {wipe, func(s *scene, _ time.Duration) { s.facts.claim.VaultVersion = s.looks }, "", 0, 0},
		"a new version is not there yet":                 {newVersion, func(s *scene, since time.Duration) { catchUp(s, since > testInterval) }, "", testInterval, testInterval + 2*time.Second},
		"a new version never comes":                      {newVersion, nil, "otherVersion", testInterval + testGrace, testInterval + testGrace + 2*time.Second},
		"a version of long ago never came":               {func(f *facts) { f.value.Version = 4 }, nil, "otherVersion", testGrace, testGrace + 2*time.Second},
		"whoever checks stands still between two looks":  {wipe, func(s *scene, _ time.Duration) { standStill(s) }, "", 2 * testGrace, 2*testGrace + 4*time.Second},
		"the server goes on from one to one":             {newVersion, func(s *scene, _ time.Duration) { goOn(s) }, "", 0, 2 * time.Second},
		"a foreign Secret went, of which no watch tells": {func(f *facts) { f.claim.State, f.claim.Reason = "Error", "NotOwned" }, nil, "causeGone", testInterval + testGrace, testInterval + testGrace + 2*time.Second},
		"an error whose cause went":                      {func(f *facts) { f.claim.State, f.claim.Reason = "Error", "ClusterUnreachable" }, nil, "causeGone", testGrace, testGrace + 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{facts: right(), change: c.change}
			c.start(s.facts)
			first := true
			if inner := s.change; inner != nil {
				s.change = func(s *scene, since time.Duration) {
					if !first {
						inner(s, since)
					}
					first = false
				}
			}
			// The clock of the bubble begins in the year 2000.
			long := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
			if !s.facts.value.Created.After(time.Now().Add(-time.Hour)) {
				s.facts.value.Created = long
			} else {
				s.facts.value.Created = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			}
			if s.facts.secret != nil {
				delete(s.facts.secret.Annotations, annotationCreated)
			}
			kinds, took, unseen := s.check(t)
			if kinds != c.want || unseen != nil {
				t.Errorf("found %q, %v; want %q", kinds, unseen, c.want)
			}
			if took < c.least || took > c.most {
				t.Errorf("took %v; want between %v and %v", took, c.least, c.most)
			}
		})
	}
}

func when(is bool, s *Secret) *Secret {
	if !is {
		return nil
	}
	return s
}

func catchUp(s *scene, now bool) {
	if now {
		s.facts.secret.Annotations[annotationVersion] = "4"
		s.facts.claim.VaultVersion = 4
	}
}

// standStill has the whole machine do nothing for a while in the second look, for which the statuses are asked for
// twice as for each; after the third the server has noticed.
func standStill(s *scene) {
	if s.looks == 3 {
		time.Sleep(2 * testGrace)
	}
	s.facts.secret = when(s.looks > 6, right().secret)
}

// goOn has vault, copy and status one version further each full look.
func goOn(s *scene) {
	if s.looks%2 == 1 {
		s.facts.value.Version++
		s.facts.claim.VaultVersion++
		s.facts.secret.Annotations[annotationVersion] = "3"
		if s.facts.claim.VaultVersion > 3 {
			s.facts.secret.Annotations[annotationVersion] = string(rune('0' + s.facts.claim.VaultVersion))
		}
	}
}

func TestADefinitionWithoutAStatusIsALie(t *testing.T) {
	kinds, _, unseen := (&scene{facts: right(), missing: true}).check(t)
	if kinds != "missing" || unseen != nil {
		t.Errorf("found %q, %v; want missing", kinds, unseen)
	}
}

func TestWhatCantBeSeenIsToldAndNotJudged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*scene)
		unseen []string
	}{
		"the status":                         {func(s *scene) { s.broken = errDown }, []string{"tenant acme", "statuses can't be read"}},
		"the vault":                          {func(s *scene) { s.facts.valueErr, s.facts.value = errDown, Value{} }, []string{"tenant acme: vault", "app/db"}},
		"the cluster":                        {func(s *scene) { s.facts.clusterErr, s.facts.secret = errDown, nil }, []string{"cluster registered", "default/db"}},
		"the vault, and the server says so":  {func(s *scene) { unsee(s, "VaultUnavailable"); s.facts.valueErr = errDown }, nil},
		"a cluster, and the server tells so": {func(s *scene) { unsee(s, "ClusterUnreachable"); s.facts.clusterErr = errDown }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{facts: right()}
			c.change(s)
			kinds, _, unseen := s.check(t)
			if kinds != "" {
				t.Errorf("found %q", kinds)
			}
			if (unseen == nil) != (c.unseen == nil) || slices.ContainsFunc(c.unseen, func(part string) bool { return !strings.Contains(unseen.Error(), part) }) {
				t.Errorf("unseen is %v; want %q", unseen, c.unseen)
			}
		})
	}
}

func unsee(s *scene, reason string) { s.facts.claim.State, s.facts.claim.Reason = "Error", reason }

func TestNamespacesOfTheServerAreGrantedOnlyByName(t *testing.T) {
	g := Grant{Namespaces: []string{"h?me*", "own"}, ByName: []string{"home", "own"}}
	for namespace, want := range map[string]bool{"home": false, "home-2": true, "own": true, "other": false} {
		if got := g.allows(namespace); got != want {
			t.Errorf("%s: %t", namespace, got)
		}
	}
}
