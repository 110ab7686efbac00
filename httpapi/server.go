package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/console"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/kept"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/timeline"
)

// Server answers the API. It is safe for concurrent use.
type Server struct {
	cfg         Config
	now         func() time.Time
	log         *slog.Logger
	router      router
	metrics     *metrics
	unrouted    map[string]*observers // by method, for what no route answers
	scrape      http.Handler
	description []byte // of the API, as JSON
	addresses   *limit.Addresses
	keyLimits   limit.Keys
	usage       *apikey.Usage
	kept        kept.Answers
	shares      limit.Shares
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
	made    time.Time
	opened  atomic.Bool // see readyz
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
		cfg.KeyStore = noKeys{}
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	if cfg.Gatherer == nil {
		cfg.Gatherer, _ = cfg.Metrics.(prometheus.Gatherer)
	}
	s := &Server{cfg: cfg, now: cfg.now(), log: cfg.Log, after: time.After}
	s.made = s.now()
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
	s.unrouted = make(map[string]*observers)
	for _, method := range append(knownMethods, otherMethod) {
		s.unrouted[method] = s.metrics.observers(s.log, method, "none")
	}
	if cfg.Gatherer != nil {
		s.scrape = promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{})
	}
	s.addresses = limit.NewAddresses(s.now)
	if s.usage, err = apikey.OpenUsage(cfg.UsageFile); err != nil {
		s.log.Warn("begins anew", "error", err)
	}
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
	}
	s.router = s.newRouter(s.routes(), cfg.MetricsListen == "")
	return s, nil
}

// routes are those that this server has.
func (s *Server) routes() []route {
	all := slices.Concat(routes, gitRoutes, hookRoutes)
	if s.console != nil {
		all = append(all, consoleRoutes...)
	}
	return all
}

// Reconfigure puts new settings in force at once, for requests that begin from
// now on. Settings that contradict themselves are refused, and the old ones
// stay.
func (s *Server) Reconfigure(settings Settings) error {
	st, err := newState(settings, s.cfg.KeyStore)
	if err != nil {
		return fmt.Errorf("httpapi: %w", err)
	}
	s.state.Store(st)
	return nil
}

// Handler serves the API, as on [Config.Listen].
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveOn(s.router, w, r) })
}

// PeerHandler serves what other replicas pass on, as on [Replicas.Listen]. Who reaches it
// is believed about whom a request is from.
func (s *Server) PeerHandler() http.Handler { return forward.FromPeers(s.Handler()) }

// newRouter makes the router for some routes. It never redirects: a path is
// right as it stands or does not exist.
func (s *Server) newRouter(routes []route, withMetrics bool) router {
	all := router{"": newVerbRouter()}
	for i := range routes {
		rt := &routes[i]
		if rt.path == metricsPath && !withMetrics {
			continue
		}
		path, verb := cutVerb(rt.path)
		if all[verb] == nil {
			all[verb] = newVerbRouter()
		}
		methods := []string{rt.method}
		if rt.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for _, method := range methods {
			observers := s.metrics.observers(s.log, method, rt.path)
			all[verb].Handle(method, path, func(w http.ResponseWriter, _ *http.Request, ps httprouter.Params) {
				x := w.(*exchange)
				x.route, x.observers, x.params = rt, observers, ps
				x.run()
			})
		}
	}
	return all
}

func newVerbRouter() *httprouter.Router {
	return &httprouter.Router{
		HandleMethodNotAllowed: true,
		HandleOPTIONS:          true,
		NotFound:               http.HandlerFunc(noRoute),
		MethodNotAllowed:       http.HandlerFunc(noMethod),
		GlobalOPTIONS:          http.HandlerFunc(options),
	}
}

func noRoute(w http.ResponseWriter, _ *http.Request) { w.(*exchange).fail(errNoRoute) }

// noMethod runs after the router has set Allow.
func noMethod(w http.ResponseWriter, _ *http.Request) { w.(*exchange).fail(errMethod) }

func options(w http.ResponseWriter, _ *http.Request) {
	w.(*exchange).send(&answer{status: http.StatusNoContent})
}
