package listen

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// Pair is one end of connections on which both ends present a certificate of the same
// authority, and speak HTTP/1.1 and TLS 1.3.
type Pair struct {
	Own       *Certificate
	Authority *Authority
	Now       func() time.Time
}

// Mutual is [Secured] for connections on which the client presents a certificate too.
// Nobody else gets as far as a request.
func Mutual(l net.Listener, server *http.Server, p Pair, refuse Refusal) net.Listener {
	server.TLSConfig = &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: p.Own.toClients,
		NextProtos:     []string{"http/1.1"},
		// Whose it is VerifyConnection decides, which knows the authority as it stands now;
		// without tickets it is asked each time.
		ClientAuth:             tls.RequireAnyClientCert,
		VerifyConnection:       p.Authority.vouches(x509.ExtKeyUsageClientAuth, p.Now),
		SessionTicketsDisabled: true,
	}
	return newTLSListener(Polite(l, refuse), server.TLSConfig, refuse)
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
	}
}
