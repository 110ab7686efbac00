package credential

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// Trust names the files of TLS: whom we trust, and our own certificate.
type Trust struct{ CA, Cert, Key File }

// TLS is what the files of a [Trust] say.
type TLS struct {
	// Fingerprint tells configurations apart.
	Fingerprint Fingerprint
	config      *tls.Config
}

// Config returns a configuration of its own.
func (t TLS) Config() *tls.Config { return t.config.Clone() }

// TLSFiles follows the files of a [Trust].
type TLSFiles struct{ followed followed[TLS] }

// NewTLSFiles follows files.
func NewTLSFiles(t Trust) *TLSFiles {
	parse := func(contents [][]byte) (TLS, error) {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if t.CA != "" {
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(contents[0]) {
				return TLS{}, fmt.Errorf("%s must hold certificates as PEM", t.CA)
			}
		}
		if t.Cert != "" {
			pair, err := tls.X509KeyPair(contents[1], contents[2])
			if err != nil {
				return TLS{}, fmt.Errorf("%s and %s must hold a certificate and its key as PEM", t.Cert, t.Key)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		return TLS{fingerprint(contents), config}, nil
	}
	return &TLSFiles{followed[TLS]{files: []File{t.CA, t.Cert, t.Key}, parse: parse}}
}

// Get returns what the files say now; again has them read even if they look the same.
func (t *TLSFiles) Get(again bool) (TLS, error) { return t.followed.get(again) }
