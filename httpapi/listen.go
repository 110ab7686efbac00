package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"secretsync/httpapi/limit"
)

// What slow clients are allowed. A request's header is small and its body at
// most 1 MiB; both come fast or are given up.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	maxStreams        = 100 // of one HTTP/2 connection

	defaultMaxConnections        = 4096
	defaultConnectionsPerAddress = 512
	defaultGrace                 = 15 * time.Second
)

// bound is what a server listens on.
type bound struct {
	api     net.Listener
	metrics net.Listener // nil without MetricsListen
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
	if b.api, err = net.Listen("tcp", s.cfg.Listen); err != nil {
		return fmt.Errorf("the API can't listen: %w", err)
	}
	connections := s.cfg.MaxConnections
	if connections == 0 {
		connections = defaultMaxConnections
	}
	each := s.cfg.MaxConnectionsPerAddress
	if each == 0 {
		each = defaultConnectionsPerAddress
	}
	b.api = newFairListener(netutil.LimitListener(b.api, connections), each, func(a netip.Addr) bool {
		return limit.Trusted(a, s.state.Load().proxies)
	})
	if s.cfg.MetricsListen != "" {
		if b.metrics, err = net.Listen("tcp", s.cfg.MetricsListen); err != nil {
			return errors.Join(fmt.Errorf("metrics can't listen: %w", err), b.api.Close())
		}
	}
	s.bound = &b
	return nil
}

// Addr is where the API listens; nil before Listen.
func (s *Server) Addr() net.Addr {
	if s.bound == nil {
		return nil
	}
	return s.bound.api.Addr()
}

// Run serves until ctx ends; then it stops accepting, lets requests under way
// finish within the grace, and returns when all it started has ended. It
// returns nil after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	api := s.httpServer(s.Handler())
	var listener net.Listener = politeListener{s.bound.api}
	if s.cfg.CertFile != "" {
		certificate, err := newCertificate(s.cfg.CertFile, s.cfg.KeyFile, s.log, s.now)
		if err != nil {
			return errors.Join(err, s.closeListeners())
		}
		api.TLSConfig = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: certificate.get,
			NextProtos:     []string{http2Protocol, "http/1.1"},
		}
		listener = newTLSListener(listener, api.TLSConfig)
	}
	servers := map[*http.Server]net.Listener{api: listener}
	if s.bound.metrics != nil {
		metrics := s.httpServer(s.metricsHandler())
		servers[metrics] = politeListener{s.bound.metrics}
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
	running.Go(func() { s.keepUsage(ctx) })
	<-ctx.Done()
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
	s.bound = nil
	return err
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * is answered like the rest
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ConnContext:                  markSecured,
		// What net/http reports are clients that hung up or spoke no TLS.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// metricsHandler serves the routes that need no key, and metrics in any case.
func (s *Server) metricsHandler() http.Handler {
	var open []route
	for _, rt := range routes {
		if rt.role == "" && rt.path != openAPIPath {
			open = append(open, rt)
		}
	}
	router := s.newRouter(open, true)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveOn(router, w, r) })
}
