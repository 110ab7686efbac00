package way

import (
	"net/http"
	"sync/atomic"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Bearer sends the token that it was given last with every request.
type Bearer struct {
	Token atomic.Pointer[string] // nil or empty: none is sent
	next  http.RoundTripper
}

// Wrap has the requests that next carries bear the token, and returns what carries them so.
func (b *Bearer) Wrap(next http.RoundTripper) http.RoundTripper {
	b.next = next
	return b
}

// RoundTrip is that of [http.RoundTripper].
func (b *Bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if token := b.Token.Load(); token != nil && *token != "" && r.Header.Get("Authorization") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+*token)
	}
	return b.next.RoundTrip(r)
}

// CloseIdleConnections is looked for by http.Client.
func (b *Bearer) CloseIdleConnections() { utilnet.CloseIdleConnectionsFor(b.next) }

// WrappedRoundTripper lets client-go find the transport.
func (b *Bearer) WrappedRoundTripper() http.RoundTripper { return b.next }
