package listen

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateAge is how long a certificate is served before its files are
// looked at again, at the next handshake.
const certificateAge = 5 * time.Second

// Certificate serves a certificate from files, and follows the files: whoever
// renews them need not tell us. Files that are broken or half written leave
// the old one in force.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	seen    [2]fileMark
	checked time.Time
}

// fileMark tells one content of a file from the next.
type fileMark struct {
	modified time.Time
	size     int64
}

// OpenCertificate reads a certificate and its key, as PEM.
func OpenCertificate(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, now: now, checked: now()}
	c.seen = c.marks()
	return c, c.load()
}

func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= certificateAge {
		c.checked = now
		if marks := c.marks(); marks != c.seen {
			c.seen = marks
			if err := c.load(); err != nil {
				c.log.Error("new certificate refused, the old one stays", "error", err)
			} else {
				c.log.Info("certificate reloaded", "file", c.certFile)
			}
		}
	}
	return c.current, nil
}

func (c *Certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current = &pair
	return nil
}

func (c *Certificate) marks() (marks [2]fileMark) {
	for i, file := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(file); err == nil {
			marks[i] = fileMark{info.ModTime(), info.Size()}
		}
	}
	return marks
}
