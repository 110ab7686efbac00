package listen

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Certificate serves a certificate from files, and follows the files.
type Certificate struct{ *followed[*tls.Certificate] }

// OpenCertificate reads a certificate and its key, as PEM.
func OpenCertificate(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*Certificate, error) {
	f, err := follow("certificate", []string{certFile, keyFile}, func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", certFile, keyFile, err)
		}
		return &pair, nil
	}, log, now)
	return &Certificate{f}, err
}

func (c *Certificate) toClients(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil }

func (c *Certificate) toServers(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return c.get(), nil
}

// Authority is who vouches for certificates, from a file, which is followed.
type Authority struct{ *followed[*trusted] }

// trusted is what an authority's file holds.
type trusted struct {
	pool         *x509.CertPool
	certificates []*x509.Certificate // that are in the pool
}

// OpenAuthority reads the certificates of an authority, as PEM. While it is replaced the
// file holds the old one's and the new one's.
func OpenAuthority(file string, log *slog.Logger, now func() time.Time) (*Authority, error) {
	f, err := follow("authority", []string{file}, func() (*trusted, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("authority: %w", err)
		}
		t := &trusted{pool: x509.NewCertPool()}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" {
				continue
			}
			if c, err := x509.ParseCertificate(block.Bytes); err == nil { // what is broken vouches for nobody
				t.certificates = append(t.certificates, c)
				t.pool.AddCert(c)
			}
		}
		if len(t.certificates) == 0 {
			return nil, fmt.Errorf("authority %s: there is no certificate in it", file)
		}
		return t, nil
	}, log, now)
	return &Authority{f}, err
}

// untrustedError is of a certificate that the authority does not vouch for.
type untrustedError struct{ error }

func (e *untrustedError) Unwrap() error { return e.error }

// vouches returns a [tls.Config.VerifyConnection] that lets those in whom the authority
// vouches for, as it stands at that time. Names are not compared: it vouches for nobody
// else, and addresses come and go.
func (a *Authority) vouches(usage x509.ExtKeyUsage, now func() time.Time) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return &untrustedError{errors.New("no certificate was presented")}
		}
		between := x509.NewCertPool()
		for _, c := range state.PeerCertificates[1:] {
			between.AddCert(c)
		}
		if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
			Roots: a.get().pool, Intermediates: between, CurrentTime: now(), KeyUsages: []x509.ExtKeyUsage{usage},
		}); err != nil {
			return &untrustedError{err}
		}
		return nil
	}
}
