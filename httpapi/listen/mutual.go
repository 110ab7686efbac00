package listen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"
)

// Pair is one end of connections on which both ends present a certificate of the same
// authority, and speak TLS 1.3 and HTTP/1.1, or what the server knows besides.
type Pair struct {
	Own       *Certificate
	Authority *Authority
	Now       func() time.Time
	// Refused is told of each connection that the server refuses because of the certificate that
	// the client presents, and why; nil: nobody is.
	Refused func(client net.Addr, cause error)
}

// OpenPair reads a certificate with its key, and the authority; all are followed.
func OpenPair(certFile, keyFile, caFile string, log *slog.Logger, now func() time.Time) (p Pair, err error) {
	p.Now = now
	if p.Own, err = OpenCertificate(certFile, keyFile, log, now); err != nil {
		return p, err
	}
	p.Authority, err = OpenAuthority(caFile, log, now)
	return p, err
}

// Check says why the other end would not take this one's certificate, as far as it has the same authority:
// each is at either end of such connections.
func (p Pair) Check() error { return p.takenAt(p.Now()) }

func (p Pair) takenAt(moment time.Time) error {
	state := tls.ConnectionState{PeerCertificates: p.Own.chain()}
	at := func() time.Time { return moment }
	if err := p.Authority.vouches(x509.ExtKeyUsageServerAuth, at)(state); err != nil {
		return fmt.Errorf("the certificate is not good for a server: %w", err)
	}
	if err := p.Authority.vouches(x509.ExtKeyUsageClientAuth, at)(state); err != nil {
		return fmt.Errorf("the certificate is not good for a client: %w", err)
	}
	return nil
}

// Mutual is [Secured] for connections on which the client presents a certificate too.
// Nobody else gets as far as a request. Who asks may choose what the server has in
// TLSNextProto.
func Mutual(l net.Listener, server *http.Server, p Pair, refuse Refusal) net.Listener {
	server.TLSConfig = &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: p.Own.toClients,
		NextProtos:     append(slices.Sorted(maps.Keys(server.TLSNextProto)), "http/1.1"),
		// A record is written in one piece: what is written is either short or large, and
		// never a page that somebody waits for the beginning of.
		DynamicRecordSizingDisabled: true,
		// Whose it is VerifyConnection decides, which knows the authority as it stands now;
		// without tickets it is asked each time.
		ClientAuth:             tls.RequireAnyClientCert,
		VerifyConnection:       p.Authority.vouches(x509.ExtKeyUsageClientAuth, p.Now),
		SessionTicketsDisabled: true,
	}
	return newTLSListener(Polite(l, refuse), server.TLSConfig, refuse, p.Refused)
}

// Dial is how the other end of such connections is dialed.
func (p Pair) Dial() *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetClientCertificate: p.Own.toServers,
		NextProtos:           []string{"http/1.1"},
		// Of what this leaves out VerifyConnection does all but compare the name.
		InsecureSkipVerify: true,
		VerifyConnection:   p.Authority.vouches(x509.ExtKeyUsageServerAuth, p.Now),

		DynamicRecordSizingDisabled: true,
	}
}
