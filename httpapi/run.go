package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/listen"
	"secretsync/httpapi/probes"
)

// defaultGrace is how long requests under way have at the end unless it is said.
const defaultGrace = 15 * time.Second

// bound is what a server listens on.
type bound struct {
	api     net.Listener
	metrics net.Listener // nil without MetricsListen
	peers   net.Listener // nil without Replicas
}

// Listen binds the configured addresses, so that an address in use is an error
// at once and ":0" can be asked for with [Server.Addr]. Run does it if it was
// not done.
func (s *Server) Listen() error {
	if s.bound != nil {
		return nil
	}
	var b bound
	var err error
	b.api, err = listen.Bind(s.cfg.Listen, listen.Bounds{
		Connections: s.cfg.MaxConnections,
		PerAddress:  s.cfg.MaxConnectionsPerAddress,
		Exempt:      func(a netip.Addr) bool { return limit.Trusted(a, s.state.Load().proxies) },
	})
	if err != nil {
		return fmt.Errorf("the API can't listen: %w", err)
	}
	if s.cfg.MetricsListen != "" {
		if b.metrics, err = net.Listen("tcp", s.cfg.MetricsListen); err != nil {
			return errors.Join(fmt.Errorf("metrics can't listen: %w", err), b.api.Close())
		}
	}
	if s.cfg.Replicas != nil {
		if b.peers, err = listen.Bind(s.cfg.Replicas.Listen, listen.Bounds{Connections: peerConnections, PerAddress: connectionsOfPeer}); err != nil {
			s.bound = &b
			return errors.Join(fmt.Errorf("other replicas can't be listened to: %w", err), s.closeListeners())
		}
	}
	s.bound = &b
	return nil
}

// How many connections other replicas may hold at once, and one of them.
const (
	peerConnections   = 8192
	connectionsOfPeer = 4096
)

// PeerAddr is where other replicas reach this one; nil before Listen, and without them.
func (s *Server) PeerAddr() net.Addr {
	if s.bound == nil || s.bound.peers == nil {
		return nil
	}
	return s.bound.peers.Addr()
}

// Addr is where the API listens; nil before Listen.
func (s *Server) Addr() net.Addr {
	if s.bound == nil {
		return nil
	}
	return s.bound.api.Addr()
}

// Run serves until ctx ends, and then comes to an end in steps:
//
//	            /readyz   new connections   answers
//	serving     200       accepted          keep their connection
//	drain       503       accepted          close it
//	grace       -         refused           to requests under way, and close it
//	ended       -         refused           -
//
// It returns when all it started has ended; nil after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	api := listen.NewServer(s.Handler(), s.log)
	var listener net.Listener
	if s.cfg.CertFile == "" {
		listener = listen.Polite(s.bound.api, exchange.Refused)
	} else {
		certificate, err := listen.OpenCertificate(s.cfg.CertFile, s.cfg.KeyFile, s.log, s.now)
		if err == nil {
			err = s.metrics.tellEnd(certificateOfAPI, certificate.Ends)
		}
		if err != nil {
			return errors.Join(err, s.closeListeners())
		}
		listener = listen.Secured(s.bound.api, api, certificate, exchange.Refused)
	}
	servers := map[*http.Server]net.Listener{api: listener}
	if s.bound.metrics != nil {
		servers[listen.NewServer(s.metricsHandler(), s.log)] = listen.Polite(s.bound.metrics, exchange.Refused)
	}
	if s.peers != nil {
		defer s.peers.Close()
		peer := listen.NewServer(s.Handler(), s.log)
		peer.MaxHeaderBytes += headerOfPeer
		forward.ServePeers(peer)
		servers[peer] = listen.Mutual(s.bound.peers, peer, s.peers.pair, exchange.Refused)
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for server, listener := range servers {
		running.Go(func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("serving %s: %w", listener.Addr(), err))
			}
		})
	}
	running.Go(func() { every(s.serving, usageKept, s.saveUsage) })
	running.Go(func() { every(s.serving, lookEvery, s.lookAround) })
	<-ctx.Done()
	s.drain(ctx)
	s.stop()
	err := s.shutdown(servers)
	if s.cfg.Git != nil {
		s.cfg.Git.Close()
	}
	running.Wait()
	s.saveUsage()
	if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
		err = errors.Join(cause, err)
	}
	return err
}

// drain lets those who look at /readyz find out, if Run was told to end; where it can't
// go on there is nothing to wait for.
func (s *Server) drain(ended context.Context) {
	s.leaving.Store(true)
	if s.cfg.Drain == 0 || !errors.Is(context.Cause(ended), context.Canceled) {
		return
	}
	s.log.Info("not ready any more; serving on till nobody asks", "drain", s.cfg.Drain)
	<-s.after(s.cfg.Drain)
}

// headerOfPeer is for what a replica adds to a header that it passes on, in bytes.
const headerOfPeer = 4 << 10

// shutdown ends all servers side by side, within the grace.
func (s *Server) shutdown(servers map[*http.Server]net.Listener) error {
	grace := s.cfg.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var closing sync.WaitGroup
	errs := make(chan error, len(servers))
	for server := range servers {
		closing.Go(func() {
			err := server.Shutdown(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				s.log.Warn("requests cut off at the end of the grace", "grace", grace)
				err = server.Close()
			}
			errs <- err
		})
	}
	closing.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (s *Server) closeListeners() error {
	err := s.bound.api.Close()
	if s.bound.metrics != nil {
		err = errors.Join(err, s.bound.metrics.Close())
	}
	if s.bound.peers != nil {
		err = errors.Join(err, s.bound.peers.Close())
	}
	s.bound = nil
	return err
}

// metricsHandler serves the routes that need no key, and metrics in any case.
func (s *Server) metricsHandler() http.Handler {
	open := slices.DeleteFunc(s.apiRoutes(), func(rt exchange.Route) bool { return rt.Role != "" || rt.Path == openAPIPath })
	router := s.desk.NewRouter(open)
	rest := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveOn(router, w, r) })
	if !s.cfg.Profiles {
		return rest
	}
	return probes.WithProfiles(rest)
}

// usageKept is how often it is written to disk when keys were used last: what a
// crash may lose.
const usageKept = 10 * time.Minute

func (s *Server) saveUsage() {
	if err := s.keys.SaveUsage(); err != nil {
		s.log.Error("what is told of keys may be old after a restart", "error", err)
	}
}

// lookEvery is how often it is looked how definitions stand. What lasts less may be
// missing in the timeline.
const lookEvery = time.Second

// lookAround has the timeline look at all tenants, and forget those who are gone.
func (s *Server) lookAround() {
	st := s.state.Load()
	for _, t := range st.tenants {
		if snapshot := t.Repository.Snapshot(); snapshot.Read() {
			s.timeline.Look(t.Name, snapshot, s.cfg.Reconciler, time.Now)
		}
	}
	s.timeline.Keep(func(name gitstore.TenantName) bool { return st.tenants[name.String()] != nil })
}

// every does something once a period till ctx ends.
func every(ctx context.Context, period time.Duration, do func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}
