package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/clones"
	"secretsync/httpapi/clusters"
	"secretsync/httpapi/commits"
	"secretsync/httpapi/console"
	"secretsync/httpapi/definitions"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/keys"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/probes"
	"secretsync/httpapi/tenants"
	"secretsync/httpapi/timeline"
)

// Server answers the API. It is safe for concurrent use.
type Server struct {
	cfg         Config
	now         func() time.Time
	log         *slog.Logger
	router      exchange.Router
	metrics     *metrics
	desk        *exchange.Desk
	description []byte // of the API, as JSON
	addresses   *limit.Addresses
	keyLimits   limit.Keys
	usage       *apikey.Usage
	shares      limit.Shares
	definitions *definitions.Definitions
	commits     *commits.Commits
	clusters    *clusters.Clusters
	keys        *keys.Keys
	clones      *clones.Clones
	probes      *probes.Probes
	state       atomic.Pointer[state]
	console     *console.Console // nil: there is none
	timeline    timeline.Timeline
	// serving ends, by stop, when Run was told to end and nothing new is accepted any more.
	serving context.Context
	stop    context.CancelFunc
	leaving atomic.Bool                          // Run was told to end
	after   func(time.Duration) <-chan time.Time // time.After, but in tests
	bound   *bound                               // set by Listen
	peers   *peers                               // nil: there are none
}

// New makes a server; it listens to nothing yet.
func New(cfg Config) (*Server, error) {
	if cfg.Reconciler == nil {
		return nil, fmt.Errorf("httpapi: Config.Reconciler is missing")
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, fmt.Errorf("httpapi: a certificate file and a key file go together; give both or neither")
	}
	if cfg.Profiles && cfg.MetricsListen == "" {
		return nil, fmt.Errorf("httpapi: profiles are served on an address of their own alone; give MetricsListen")
	}
	if cfg.KeyStore == nil {
		cfg.KeyStore = keys.None{}
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	if cfg.Gatherer == nil {
		cfg.Gatherer, _ = cfg.Metrics.(prometheus.Gatherer)
	}
	s := &Server{cfg: cfg, now: cfg.now(), log: cfg.Log, after: time.After}
	s.serving, s.stop = context.WithCancel(context.Background())
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.description, err = openAPIDocument(); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	if s.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	if s.desk, err = exchange.NewDesk(exchange.Config{
		Log: s.log, Now: s.now, Metrics: cfg.Metrics, Tracer: cfg.Tracer, Audit: cfg.Audit, NoReads: cfg.AuditNoReads,
		Keys: judge{s}, Shares: &s.shares, Serving: s.serving, Leaving: s.leaving.Load, Page: s.refuseAsPage,
	}); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	s.definitions = &definitions.Definitions{Reconciler: cfg.Reconciler, Now: s.now, Moments: &s.timeline}
	s.commits = &commits.Commits{Reconciler: cfg.Reconciler, Shares: &s.shares, Limit: func() int { return s.state.Load().limits.Definitions }}
	s.clusters = &clusters.Clusters{Reconciler: cfg.Reconciler}
	s.addresses = limit.NewAddresses(s.now)
	if s.usage, err = apikey.OpenUsage(cfg.UsageFile); err != nil {
		s.log.Warn("begins anew", "error", err)
	}
	s.keys = &keys.Keys{Store: cfg.KeyStore, Configured: func() map[string]*apikey.Key { return s.state.Load().keys }, Usage: s.usage, Now: s.now, Revoked: s.revoked}
	s.clones = &clones.Clones{Git: cfg.Git}
	s.probes = s.newProbes()
	if err := s.Reconfigure(cfg.Settings); err != nil {
		return nil, err
	}
	if cfg.Console != NoConsole {
		if s.console, err = console.New(inProcess{s}, s.now, s.serving.Done()); err != nil {
			return nil, fmt.Errorf("httpapi: %w", err)
		}
	}
	if cfg.Replicas != nil {
		if s.peers, err = s.newPeers(); err != nil {
			return nil, fmt.Errorf("httpapi: %w", err)
		}
		if err = s.metrics.tellEnd(certificateOfReplicas, s.peers.pair.Ends); err != nil {
			return nil, fmt.Errorf("httpapi: %w", err)
		}
	}
	routes := slices.Concat(s.apiRoutes(), s.gitRoutes(), s.otherRoutes())
	if cfg.MetricsListen != "" {
		routes = slices.DeleteFunc(routes, func(rt exchange.Route) bool { return rt.Path == metricsPath })
	}
	s.router = s.desk.NewRouter(routes)
	return s, nil
}

func (s *Server) newProbes() *probes.Probes {
	cfg := probes.Config{
		Tenants: func() map[string]*tenants.Tenant { return s.state.Load().tenants },
		Leaving: s.leaving.Load, Lost: func() error { return nil }, Now: s.now,
	}
	if s.cfg.Replicas != nil {
		cfg.Lost = s.cfg.Replicas.Holders.Err
	}
	if s.cfg.Gatherer != nil {
		cfg.Scrape = promhttp.HandlerFor(s.cfg.Gatherer, promhttp.HandlerOpts{})
	}
	return probes.New(cfg)
}

// revoked ends what goes on in the name of a key that is no more.
func (s *Server) revoked(keyID string) {
	if s.console != nil {
		s.console.EndSessions(keyID)
	}
	s.keyLimits.Forget(keyID)
}

// Reconfigure puts new settings in force at once, for requests that begin from
// now on. Settings that contradict themselves are refused, and the old ones
// stay.
func (s *Server) Reconfigure(settings Settings) error {
	st, err := newState(settings, s.cfg.KeyStore)
	if err != nil {
		return fmt.Errorf("httpapi: %w", err)
	}
	if before := s.state.Swap(st); before != nil {
		close(before.replaced)
	}
	return nil
}

// Handler serves the API, as on [Config.Listen].
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveOn(s.router, w, r) })
}
