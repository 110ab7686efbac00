package access

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

// Ways are the connections to vaults, each for as long as a broker uses it.
type Ways struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]*Way
}

// Way is how requests go to a vault. It is immutable: other certificates make
// another.
type Way struct {
	key     [sha256.Size]byte
	HTTP    *http.Client
	brokers int // guarded by Ways.mu
}

// Identity is what is shown to and expected of the other side of a connection.
type Identity struct {
	roots *x509.CertPool // nil is the system's
	own   *tls.Certificate
}

// Take returns the way that a configuration and the files it names make, to be given
// back.
func (w *Ways) Take(cfg Config, id Identity, files Fingerprint) *Way {
	key := digestOf(cfg.Connection(), patience(cfg), files)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = make(map[[sha256.Size]byte]*Way)
	}
	of := w.of[key]
	if of == nil {
		of = &Way{key: key, HTTP: connections(cfg, id)}
		w.of[key] = of
	}
	of.brokers++
	return of
}

// GiveBack ends a broker's use of a way. The last closes what is idle.
func (w *Ways) GiveBack(of *Way) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if of.brokers--; of.brokers == 0 {
		delete(w.of, of.key)
		of.HTTP.CloseIdleConnections()
	}
}

// InUse counts the ways that brokers use.
func (w *Ways) InUse() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.of)
}

// patience is how long it may take to connect.
func patience(cfg Config) time.Duration { return min(cfg.Within(), 10*time.Second) }

func connections(cfg Config, id Identity) *http.Client {
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
