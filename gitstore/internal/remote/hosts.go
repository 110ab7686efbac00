package remote

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"secretsync/gitstore/internal/remote/credential"
	"secretsync/gitstore/internal/remote/wire"
)

// HostsConfig says how hosts are treated.
type HostsConfig struct {
	PerHost int         // exchanges at a time with one host; zero: 8
	Clock   clock.Clock // zero: the real one
}

// Hosts is what the remotes of a process share: connections, how many exchanges
// a host has at a time, and which hosts want to be left alone. It has no
// goroutines of its own.
type Hosts struct {
	perHost int
	clock   clock.Clock

	mu         sync.Mutex
	hosts      map[string]*host
	transports map[transportKey]*transport
}

// NewHosts returns hosts of which nothing is known.
func NewHosts(cfg HostsConfig) *Hosts {
	if cfg.PerHost <= 0 {
		cfg.PerHost = 8
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	return &Hosts{perHost: cfg.PerHost, clock: cfg.Clock, hosts: make(map[string]*host), transports: make(map[transportKey]*transport)}
}

// Close closes the connections that nobody uses. Remotes are to be closed before.
func (h *Hosts) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, t := range h.transports {
		t.CloseIdleConnections()
		delete(h.transports, key)
	}
}

func (h *Hosts) host(name string) *host {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, ok := h.hosts[name]
	if !ok {
		known = &host{clock: h.clock, slots: make(chan struct{}, h.perHost)}
		h.hosts[name] = known
	}
	return known
}

// host is one host, under the name it has in URLs, with its port.
type host struct {
	clock clock.PassiveClock
	slots chan struct{} // held by exchanges
	// heard is what a server there said last that it can do, by HTTP and in version 2; nil: nothing
	// yet. It is what the next repository is asked by, without being heard first: when a replica takes
	// over hundreds of tenants that is a third of all requests.
	heard atomic.Pointer[wire.Advertisement]

	mu    sync.Mutex
	until time.Time // when it may be asked again
}

// longestPause bounds for how long a host is left alone: what it says is not
// always meant. GitHub's limits begin anew every hour.
const longestPause = time.Hour

// pause leaves the host alone for a while.
func (h *host) pause(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until := h.clock.Now().Add(min(d, longestPause)); until.After(h.until) {
		h.until = until
	}
}

// paused returns for how long the host is to be left alone yet.
func (h *host) paused() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(0, h.until.Sub(h.clock.Now()))
}

// enter waits for a slot.
func (h *host) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *host) leave() { <-h.slots }

// transportKey is what connections must have in common to be shared.
type transportKey struct {
	host, proxy string
	tls         credential.Fingerprint
}

// transport is shared by remotes; the last of them closes its connections.
type transport struct {
	*http.Transport
	key  transportKey
	used int // guarded by Hosts.mu
}

// transport returns the connections to a host. They are to be given back to release.
func (h *Hosts) transport(hostName string, proxy *url.URL, files credential.TLS) *transport {
	key := transportKey{host: hostName, tls: files.Fingerprint}
	if proxy != nil {
		key.proxy = proxy.String()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.transports[key]
	if !ok {
		t = &transport{Transport: newTransport(proxy, files.Config(), h.perHost), key: key}
		h.transports[key] = t
	}
	t.used++
	return t
}

func newTransport(proxy *url.URL, config *tls.Config, connections int) *http.Transport {
	t := &http.Transport{
		TLSClientConfig:        config,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    connections,
		IdleConnTimeout:        5 * time.Minute, // longer than polls are apart
		MaxResponseHeaderBytes: 256 << 10,
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	return t
}

func (h *Hosts) release(t *transport) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.used--; t.used == 0 {
		t.CloseIdleConnections()
		if h.transports[t.key] == t {
			delete(h.transports, t.key)
		}
	}
}
