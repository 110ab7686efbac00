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
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/clones"
	"secretsync/httpapi/clusters"
	"secretsync/httpapi/commits"
	"secretsync/httpapi/definitions"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/keys"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/tenants"
	"secretsync/reconcile/status"
)

// Reconciler is a *[reconcile.Reconciler].
type Reconciler interface {
	definitions.Reconciler
	commits.Reconciler
	clusters.Reconciler
	TenantStatus
}

// TenantStatus tells how all that a tenant depends on stands, without waiting.
type TenantStatus interface {
	Tenant(gitstore.TenantName) status.Tenant
}

// KeyStore keeps the keys that are made through the API: an [apikey.Store], or one that
// several servers share.
type KeyStore interface {
	keys.Store
	// Unread says why the keys of some tenants are not known now; nil: all are. Until
	// then a key that is not known may be right all the same.
	Unread() error
	// CatchUp has the keys known that other servers had made when it was called. It fails where that
	// can't be had soon. What it does is bounded, however often it is called: strangers have it called.
	CatchUp(context.Context) error
}

// GitServer serves repositories to stock git, a *githttp.Server.
type GitServer interface {
	clones.Git
	// Close ends what is under way.
	Close()
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
	Audit exchange.Auditor
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
	Tenants []tenants.Tenant
	// Elsewhere are the tenants that other replicas hold.
	Elsewhere []gitstore.TenantName
	// Keys are the keys of the configuration, of all tenants, wherever they are held.
	Keys   []apikey.Key
	Limits limit.Limits
	// TrustedProxies are the addresses whose X-Forwarded-For is believed; from
	// all others the address of the connection counts.
	TrustedProxies []netip.Prefix
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
	tenants   map[string]*tenants.Tenant
	elsewhere map[string]bool // tenants of other replicas, by name
	keys      map[string]*apikey.Key
	limits    limit.Limits
	proxies   []netip.Prefix
	replaced  chan struct{} // closed when other settings are in force
}

// known reports whether there is such a tenant, held here or elsewhere.
func (st *state) known(name gitstore.TenantName) bool {
	return st.tenants[name.String()] != nil || st.elsewhere[name.String()]
}

func newState(s Settings, stored keys.Reader) (*state, error) {
	st := &state{
		tenants:   make(map[string]*tenants.Tenant, len(s.Tenants)),
		elsewhere: make(map[string]bool, len(s.Elsewhere)),
		keys:      make(map[string]*apikey.Key, len(s.Keys)),
		limits:    s.Limits,
		proxies:   s.TrustedProxies,
		replaced:  make(chan struct{}),
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
