package vault

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"
)

// ways are the connections to vaults, each for as long as a broker uses it.
type ways struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]*way
}

// way is how requests go to a vault. It is immutable: other certificates make
// another.
type way struct {
	key     [sha256.Size]byte
	http    *http.Client
	brokers int // guarded by ways.mu
}

// identity is what is shown to and expected of the other side of a connection.
type identity struct {
	roots *x509.CertPool // nil is the system's
	own   *tls.Certificate
}

// take returns the way that a configuration and the files it names make, to be given
// back.
func (w *ways) take(cfg Config, id identity, files fingerprint) *way {
	key := digestOf(cfg.connection(), patience(cfg), files)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = make(map[[sha256.Size]byte]*way)
	}
	of := w.of[key]
	if of == nil {
		of = &way{key: key, http: connections(cfg, id)}
		w.of[key] = of
	}
	of.brokers++
	return of
}

// giveBack ends a broker's use of a way. The last closes what is idle.
func (w *ways) giveBack(of *way) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if of.brokers--; of.brokers == 0 {
		delete(w.of, of.key)
		of.http.CloseIdleConnections()
	}
}

// patience is how long it may take to connect.
func patience(cfg Config) time.Duration { return min(cfg.timeout(), 10*time.Second) }

func connections(cfg Config, id identity) *http.Client {
	settings := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName, RootCAs: id.roots}
	if id.own != nil {
		settings.Certificates = []tls.Certificate{*id.own}
	}
	dialer := &net.Dialer{Timeout: patience(cfg), KeepAlive: 30 * time.Second}
	return &http.Client{
		// HTTP/1.1 on purpose: with many small reads at once, connections of
		// their own are faster than streams that share one.
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			TLSClientConfig:     settings,
			TLSHandshakeTimeout: patience(cfg),
			MaxIdleConnsPerHost: 1024, // reads under way are bounded elsewhere
			IdleConnTimeout:     90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// digestOf tells things apart by all that is in them, without keeping it: there may
// be secrets in it.
func digestOf(parts ...any) [sha256.Size]byte {
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err) // of plain data, which it always takes
	}
	return sha256.Sum256(text)
}
