package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/hooks"
	"secretsync/httpapi/limit"
	"secretsync/reconcile"
	"secretsync/reconcile/live"
)

// Reader gives what is at HEAD without waiting for anything.
type Reader interface {
	Snapshot() *gitstore.Snapshot
	Created() time.Time
}

// Writer commits: operations are one commit, durable when it returns; see
// [gitstore.Repository.Apply] for the errors.
type Writer interface {
	Apply(context.Context, gitstore.Attribution, gitstore.Handling, ...gitstore.Operation) ([]gitstore.Written, error)
}

// Historian reads the commits that changed a definition, a page at a time.
type Historian interface {
	History(ctx context.Context, name definition.Name, after gitstore.Revision, limit int) (events []gitstore.Event, next gitstore.Revision, err error)
}

// Hinter looks at once whether the branch has moved, and does not wait for it.
type Hinter interface {
	Hint()
}

// HealthReporter says why it can't be written to or followed now; nil: it can.
type HealthReporter interface {
	Healthy() error
}

// ProblemReporter tells what is wrong with a repository that works all the same,
// a sentence each.
type ProblemReporter interface {
	Problems() []string
}

// FreshnessReporter tells how old what is shown may be.
type FreshnessReporter interface {
	Freshness() gitstore.Freshness
}

// Repository is a tenant's repository, a *[gitstore.Repository].
type Repository interface {
	Reader
	Writer
	Historian
	Reverter
	live.Repository
	Hinter
	Revisions
	FileReader
	HealthReporter
	ProblemReporter
	FreshnessReporter
}

// StatusSource tells how a definition stands now, without waiting. Version is
// another one as soon as any of the tenant's statuses may be in more than when
// it was synced last.
type StatusSource interface {
	Status(gitstore.TenantName, *gitstore.Entry) reconcile.Status
	Version(gitstore.TenantName) uint64
}

// Waiter returns a definition and its status as soon as that has the phase, or
// as both stand when ctx ends. One that is not there is [gitstore.ErrNotFound].
type Waiter interface {
	Wait(context.Context, gitstore.TenantName, definition.Name, reconcile.Phase) (*gitstore.Entry, reconcile.Status, error)
}

// Syncer has values read again, and does not wait for it: that of a definition now;
// that of a path, or all of a tenant's, soon and not more often than is allowed. Of
// those it tells how many definitions there are.
type Syncer interface {
	SyncNow(gitstore.TenantName, definition.Name)
	SyncPath(gitstore.TenantName, definition.SecretPath) (definitions int)
	SyncAll(gitstore.TenantName) (definitions int)
}

// ClusterSource tells a tenant's clusters and how they stand, and how all that
// it depends on does, without waiting.
type ClusterSource interface {
	Tenant(gitstore.TenantName) reconcile.TenantStatus
	Clusters(gitstore.TenantName) []reconcile.ClusterStatus
}

// Reconciler is a *[reconcile.Reconciler].
type Reconciler interface {
	StatusSource
	live.Source
	Waiter
	Syncer
	ClusterSource
	OrphanKeeper
	DeletionKeeper
	Planner
}

// KeyReader knows the keys that were made through the API, without waiting.
type KeyReader interface {
	// Get finds a key by its id; nil: no such key is known.
	Get(id string) *apikey.Key
	// Of returns a tenant's keys, in no order. It fails where they can't be read.
	Of(gitstore.TenantName) ([]*apikey.Key, error)
}

// KeyWriter makes and revokes keys, durably before it returns. What can't be done now is
// [gitstore.ErrUnavailable].
type KeyWriter interface {
	Add(context.Context, apikey.Key) error
	// Remove reports whether the tenant had such a key.
	Remove(ctx context.Context, tenant gitstore.TenantName, id string) (bool, error)
}

// KeyStore keeps the keys that are made through the API: an [apikey.Store], or one that
// several servers share.
type KeyStore interface {
	KeyReader
	KeyWriter
	// Unread says why the keys of some tenants are not known now; nil: all are. Until
	// then a key that is not known may be right all the same.
	Unread() error
}

// Config is what a [Server] needs. The part in [Settings] can be replaced
// while the server runs.
type Config struct {
	Settings

	// Reconciler is required.
	Reconciler Reconciler
	// KeyStore keeps the keys made through the API. Without one none can be
	// made; those of the configuration work.
	KeyStore KeyStore
	// UsageFile is where it is kept from one process to the next when each key
	// was used last. It may be deleted. Empty: nowhere.
	UsageFile string
	// Listen is the address of the API, such as ":8443"; only [Server.Run]
	// and [Server.Listen] need it.
	Listen string
	// CertFile and KeyFile hold the TLS certificate chain and its key as PEM.
	// They are read again when they change. Without them the API is served in
	// plain HTTP, which is for loopback and behind a proxy that ends TLS.
	CertFile, KeyFile string
	// MetricsListen is where /metrics, /healthz and /readyz are served in
	// plain HTTP; /metrics is then no longer served on Listen. Optional.
	MetricsListen string
	// MaxConnections is how many connections Listen holds open at once;
	// further ones wait unaccepted. 0: 4096.
	MaxConnections int
	// MaxConnectionsPerAddress is how many of them one address may hold;
	// further ones are closed. Trusted proxies may hold all. 0: 512.
	MaxConnectionsPerAddress int
	// Replicas are the processes that tenants are shared with; nil: this one alone
	// answers for all.
	Replicas *Replicas
	// Console says whether the pages for people are served at / and /console/.
	Console Console
	// Git serves the tenants' repositories to stock git. Run closes it. Optional.
	Git GitServer
	// Drain is how long the server goes on serving when Run is told to end, while
	// /readyz says 503 and each answer ends its connection: so long it takes till
	// whoever distributes requests sends it none any more. 0: not at all.
	Drain time.Duration
	// Grace is how long requests under way may still take when Run is told to
	// end. 0: 15 s.
	Grace time.Duration

	// Audit is told who used which key for what, and who was refused. Optional.
	Audit Auditor
	// AuditNoReads: not of those that only read, unless they are refused.
	AuditNoReads bool
	// Tracer makes a span of each request. Nil: nothing is traced.
	Tracer trace.Tracer
	// Profiles has what the process is busy with be served at /debug/pprof/, on
	// MetricsListen alone.
	Profiles bool

	Clock    clock.PassiveClock    // nil: the machine's
	Log      *slog.Logger          // nil: nothing is logged
	Metrics  prometheus.Registerer // nil: a registry of the server's own
	Gatherer prometheus.Gatherer   // what /metrics shows; nil: Metrics, if it gathers as well
}

// Settings are what [Server.Reconfigure] replaces as a whole.
type Settings struct {
	Tenants []Tenant
	// Elsewhere are the tenants that other replicas hold.
	Elsewhere []gitstore.TenantName
	// Keys are the keys of the configuration, of all tenants, wherever they are held.
	Keys   []apikey.Key
	Limits limit.Limits
	// TrustedProxies are the addresses whose X-Forwarded-For is believed; from
	// all others the address of the connection counts.
	TrustedProxies []netip.Prefix
}

// Tenant is one tenant the server answers for.
type Tenant struct {
	Name        gitstore.TenantName
	DisplayName string // empty: the name
	Repository  Repository
	// Clone is how stock git gets and changes the repository; nil: not from here,
	// because it has a remote.
	Clone *Clone
	// Proposals has writes become pull requests; nil: there is no forge to open one at.
	Proposals Proposer
	// ProposeOnly: every write through the API becomes one, asked for or not.
	ProposeOnly bool
	// Hook takes what the forge of the repository sends; nil: nothing is expected.
	Hook *hooks.Hook
}

func (c Config) now() func() time.Time {
	if c.Clock == nil {
		return clock.RealClock{}.Now
	}
	return c.Clock.Now
}

// state is the settings in the form requests read them: parsed, indexed, never
// modified.
type state struct {
	tenants   map[string]*Tenant
	elsewhere map[string]bool // tenants of other replicas, by name
	keys      map[string]*apikey.Key
	limits    limit.Limits
	proxies   []netip.Prefix
}

// known reports whether there is such a tenant, held here or elsewhere.
func (st *state) known(name gitstore.TenantName) bool {
	return st.tenants[name.String()] != nil || st.elsewhere[name.String()]
}

func newState(s Settings, stored KeyReader) (*state, error) {
	st := &state{
		tenants:   make(map[string]*Tenant, len(s.Tenants)),
		elsewhere: make(map[string]bool, len(s.Elsewhere)),
		keys:      make(map[string]*apikey.Key, len(s.Keys)),
		limits:    s.Limits,
		proxies:   s.TrustedProxies,
	}
	var errs []error
	for i := range s.Tenants {
		t := s.Tenants[i]
		if t.DisplayName == "" {
			t.DisplayName = t.Name.String()
		}
		if st.tenants[t.Name.String()] != nil {
			errs = append(errs, fmt.Errorf("tenant %s is listed twice", t.Name))
		}
		st.tenants[t.Name.String()] = &t
	}
	for _, name := range s.Elsewhere {
		if st.known(name) {
			errs = append(errs, fmt.Errorf("tenant %s is listed twice", name))
		}
		st.elsewhere[name.String()] = true
	}
	for i := range s.Keys {
		k := s.Keys[i]
		if !st.known(k.Tenant) {
			errs = append(errs, fmt.Errorf("key %s belongs to tenant %s, which is not configured", k.ID, k.Tenant))
		}
		if st.keys[k.ID] != nil {
			errs = append(errs, fmt.Errorf("key %s is listed twice", k.ID))
		}
		if stored.Get(k.ID) != nil {
			errs = append(errs, fmt.Errorf("key %s was made through the API and can't stand in the configuration as well", k.ID))
		}
		st.keys[k.ID] = &k
	}
	return st, errors.Join(errs...)
}
