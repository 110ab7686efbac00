package forward

import (
	"context"
	"net/http"
	"net/netip"
)

// The header fields that a replica passes on with a request. Clients may send them as
// well: they are set anew on the way out, and believed where [FromPeers] stands.
const (
	addressHeader = "X-Forwarded-For"
	schemeHeader  = "X-Forwarded-Proto"
	idHeader      = "X-Request-Id"
)

// UndoneHeader is set, to "true", in an answer of 503 to a request of which surely
// nothing was done.
const UndoneHeader = "X-Secretsync-Undone"

// Origin is what the replica that got a request knows of it and its holder can't see.
type Origin struct {
	Address netip.Addr // whom limits count; zero: not known
	TLS     bool       // the client came over TLS
	ID      string     // of the request, well-formed
}

func (o *Origin) write(h http.Header) {
	h.Set(addressHeader, o.Address.String())
	h.Set(schemeHeader, "http")
	if o.TLS {
		h.Set(schemeHeader, "https")
	}
	h.Set(idHeader, o.ID)
}

// take reads what a replica passed on, and removes it. The id stays where it was: it is
// judged like any.
func take(h http.Header) Origin {
	o := Origin{TLS: h.Get(schemeHeader) == "https", ID: h.Get(idHeader)}
	o.Address, _ = netip.ParseAddr(h.Get(addressHeader)) // zero if it can't be had
	h.Del(addressHeader)
	h.Del(schemeHeader)
	return o
}

type originKey struct{}

// FromPeers serves what other replicas passed on. It must stand behind a listener that
// lets in nobody but them, see [secretsync/httpapi/listen.Mutual].
func FromPeers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := take(r.Header)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), originKey{}, &o)))
	})
}

// OriginOf returns what was passed on with a request; ok is false for one that another
// replica did not pass on.
func OriginOf(r *http.Request) (o Origin, ok bool) {
	if passed, ok := r.Context().Value(originKey{}).(*Origin); ok {
		return *passed, true
	}
	return Origin{}, false
}
