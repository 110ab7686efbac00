package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Sources are where a check looks. Everything in them is used from several
// goroutines at once.
type Sources struct {
	Tenants []Tenant
	// Clusters are by the operator's names, which grants refer to.
	Clusters map[string]Cluster
	// Grace is the time the server has to notice a change that it is told of.
	// Zero is DefaultGrace.
	Grace time.Duration
	// Recovery is the time it has to notice that a vault or a cluster is back,
	// and to look again at all that was held up: polls too. Zero is Grace.
	Recovery time.Duration
	// Readers is how many requests to vaults and clusters are under way at
	// once. Zero is DefaultReaders.
	Readers int
}

// Defaults of [Sources].
const (
	DefaultGrace   = 5 * time.Second
	DefaultReaders = 16
)

// Tenant is one tenant whose statuses are checked.
type Tenant struct {
	Name     string
	Head     Head
	Status   Status
	Vault    Vault
	Clusters map[string]Grant // by the names that its definitions use
	// Interval is how often the server asks the vault for a change.
	Interval time.Duration
}

// Grant is what a tenant may reach in a cluster.
type Grant struct {
	Cluster    string   // as in Sources.Clusters
	Namespaces []string // patterns, as in path.Match
	ByName     []string // granted only where a pattern names them, as those of the system
}

// Head reads what is declared. A [Repository] is one.
type Head interface {
	// Definitions returns the definitions at HEAD.
	Definitions(context.Context) ([]Definition, error)
	// At returns a definition as it stood at a commit, nil if there was none.
	// A commit that the repository doesn't have is ErrNoCommit.
	At(ctx context.Context, commit, name string) (*Definition, error)
}

// Status tells what the server says. A [Server] is one, over HTTP.
type Status interface {
	Claims(context.Context) ([]Claim, error)
}

// StatusFunc is a Status that is one function.
type StatusFunc func(context.Context) ([]Claim, error)

// Claims calls the function.
func (f StatusFunc) Claims(ctx context.Context) ([]Claim, error) { return f(ctx) }

// Vault reads a tenant's values. A [VaultReader] is one. An error says that it
// could not be asked; it must not tell a value.
type Vault interface {
	Value(ctx context.Context, secretPath string) (Value, error)
}

// Cluster reads what stands in one cluster. A [ClusterReader] is one. An error
// says that it could not be asked.
type Cluster interface {
	// Secret returns a Secret, nil if there is none.
	Secret(ctx context.Context, namespace, name string) (*Secret, error)
	Namespace(ctx context.Context, name string) (Namespace, error)
	// Namespaces returns all there are, by name. It is asked where definitions select
	// some.
	Namespaces(ctx context.Context) (map[string]Namespace, error)
}

// Kind names what sort of lie one is, for programs.
type Kind string

// The kinds of lies.
const (
	Absent       Kind = "absent"       // Synced, and no Secret stands
	Wiped        Kind = "wiped"        // not Synced, no Secret stands any more, and nothing is in its way
	OtherVersion Kind = "otherVersion" // Synced of another version than the vault's newest
	OtherData    Kind = "otherData"    // Synced of other data than the value
	OtherPath    Kind = "otherPath"    // of another vault path than the definition's
	OtherCommit  Kind = "otherCommit"  // of a commit that didn't ask for the copy
	OtherLabels  Kind = "otherLabels"  // Synced of a Secret that doesn't bear the definition's labels
	OtherType    Kind = "otherType"    // Synced of a Secret of another type
	Unfounded    Kind = "unfounded"    // Synced of what can't be: not granted, no value, a deleted one
	CauseGone    Kind = "causeGone"    // an error or a wait whose cause is not there
	NotBorne     Kind = "notBorne"     // a version or a commit that the copy doesn't bear
	Phase        Kind = "phase"        // a phase that contradicts the targets
	Missing      Kind = "missing"      // no status for what is declared
	Surplus      Kind = "surplus"      // a status for what is not declared
)

// Lie is one thing the server says that is not so.
type Lie struct {
	Tenant     string    `json:"tenant"`
	Definition string    `json:"definition"`
	Place      *Place    `json:"target,omitempty"` // nil: the definition as a whole
	Kind       Kind      `json:"kind"`
	Says       string    `json:"says"`  // what the status says
	Finds      string    `json:"finds"` // what is the case
	Since      time.Time `json:"since"` // when it was found first
	Until      time.Time `json:"until"` // when it was found last
}

func (l Lie) String() string {
	where := l.Tenant + "/" + l.Definition
	if l.Place != nil {
		where += " at " + l.Place.String()
	}
	return fmt.Sprintf("%s: the status says %s, but %s (for %v and more)", where, l.Says, l.Finds, l.Until.Sub(l.Since).Round(100*time.Millisecond))
}

// Check looks at everything, looks again at whatever differs until that is
// gone or proven, and returns the lies sorted by place. It takes no longer than
// the longest interval and the grace, or the recovery, and two looks; five looks where
// those take longer.
//
// What could not be read is in the error, as many as there are joined; the
// lies beside it are proven nevertheless. Trouble that the status tells of itself
// (ClusterUnreachable of a cluster that can't be read) is no error.
//
// In a test that breaks things at random the sources must not see more than the
// server can: one that stands for a cluster or a vault that is cut off from the
// server returns an error for as long, and nothing that depends on it is judged;
// the error that Check then returns is to be expected.
func Check(ctx context.Context, s Sources) ([]Lie, error) {
	s.Grace = cmp.Or(s.Grace, DefaultGrace)
	s.Recovery = cmp.Or(s.Recovery, s.Grace)
	s.Readers = cmp.Or(s.Readers, DefaultReaders)
	var lies []Lie
	suspects := make(map[subject]*suspect)
	var only map[definitionKey]bool // nil: all
	unseen := &blind{}
	for first := true; first || len(suspects) > 0; first = false {
		if !first {
			if err := sleep(ctx, min(max(s.Grace/leastLooks, 50*time.Millisecond), time.Second)); err != nil {
				return sorted(lies), errors.Join(unseen.err(), err)
			}
		}
		began := time.Now()
		found := look(ctx, &s, only, unseen)
		if err := ctx.Err(); err != nil {
			return sorted(lies), errors.Join(unseen.err(), err)
		}
		if first {
			for about, f := range found {
				suspects[about] = &suspect{finding: f, since: began}
			}
		}
		for about, suspect := range suspects {
			suspect.looks++
			f, again := found[about]
			switch {
			case !again || f.basis != suspect.basis:
				delete(suspects, about)
			case suspect.borneOut(began, &s):
				lies = append(lies, lieOf(about, f, suspect.since, began))
				delete(suspects, about)
			}
		}
		only = make(map[definitionKey]bool)
		for about := range suspects {
			only[about.definitionKey] = true
		}
	}
	return sorted(lies), unseen.err()
}

// definitionKey names a definition among all tenants.
type definitionKey struct{ tenant, name string }

// subject is what a finding is about. There is at most one of a kind.
type subject struct {
	definitionKey
	place Place // zero: the definition as a whole
	kind  Kind
}

// finding is a difference that one look found.
type finding struct {
	says, finds string
	learns      learning
	// created is when the newest version was written, by the vault's clock.
	created  time.Time
	interval time.Duration
	// basis must be the same in each look: if it is another one the server did
	// something meanwhile.
	basis string
}

// learning is how the server finds out what is the case.
type learning uint8

const (
	// atOnce: it is told, by the repository or by a watch.
	atOnce learning = iota
	// byProbing: it asks until there is an answer, with pauses.
	byProbing
	// byPolling: at the next poll, and when the change was nobody knows.
	byPolling
	// byVersion: at the next poll after the newest version was written.
	byVersion
)

// suspect is a finding that further looks have to bear out.
type suspect struct {
	finding
	since time.Time // the beginning of the look that found it first
	looks int       // that found it
}

// leastLooks must have found what is a lie: as many as fit into DefaultGrace. So of a machine that
// stands still between two of the first looks, with the server that is checked, not all that time is
// held against it.
const leastLooks = 5

// borneOut reports whether the server had its time when a look began that found it again.
func (s *suspect) borneOut(began time.Time, sources *Sources) bool {
	return s.looks >= leastLooks && !began.Before(s.due(sources))
}

// due is when the server has had its time.
func (s *suspect) due(sources *Sources) time.Time {
	due := s.since.Add(sources.Grace)
	switch s.learns {
	case byProbing:
		return s.since.Add(sources.Recovery)
	case byPolling:
		return latest(due.Add(s.interval), s.since.Add(sources.Recovery))
	case byVersion:
		// It may have had its poll before the first look.
		written := s.created
		if written.After(s.since) {
			written = s.since
		}
		return latest(due, latest(written.Add(s.interval+sources.Grace), s.since.Add(sources.Recovery)))
	}
	return due
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func lieOf(about subject, f finding, since, until time.Time) Lie {
	l := Lie{Tenant: about.tenant, Definition: about.name, Kind: about.kind, Says: f.says, Finds: f.finds, Since: since, Until: until}
	if about.place != (Place{}) {
		l.Place = &about.place
	}
	return l
}

func sorted(lies []Lie) []Lie {
	slices.SortFunc(lies, func(a, b Lie) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Definition, b.Definition), cmp.Compare(placeOf(a), placeOf(b)), cmp.Compare(a.Kind, b.Kind))
	})
	return lies
}

func placeOf(l Lie) string {
	if l.Place == nil {
		return ""
	}
	return l.Place.String()
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
