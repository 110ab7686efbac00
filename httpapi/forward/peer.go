package forward

import (
	"context"
	"net/http"
	"net/netip"

	"secretsync/httpapi/forward/hop"
)

// The header fields that a replica passes on with a request. Clients may send them as
// well: they are set anew on the way out, and believed where [ServePeers] was called.
const (
	addressHeader = "X-Forwarded-For"
	schemeHeader  = "X-Forwarded-Proto"
	idHeader      = "X-Request-Id"
)

// UndoneHeader is set, to "true", in an answer of 503 to a request of which surely
// nothing was done.
const UndoneHeader = "X-Secretsync-Undone"

// MovedHeader is set, to "true", in an answer to another replica that took this one for the holder
// of a tenant. Nothing was done, and no client gets to see it.
const MovedHeader = "X-Secretsync-Moved"

// Origin is what the replica that got a request knows of it and its holder can't see.
type Origin struct {
	Address netip.Addr // whom limits count; zero: not known
	TLS     bool       // the client came over TLS
	ID      string     // of the request, well-formed
}

func (o *Origin) lines() [3]hop.Line {
	scheme := "http"
	if o.TLS {
		scheme = "https"
	}
	return [3]hop.Line{{Name: addressHeader, Value: o.Address.String()}, {Name: schemeHeader, Value: scheme}, {Name: idHeader, Value: o.ID}}
}

func (o *Origin) write(h http.Header) {
	for _, l := range o.lines() {
		h[l.Name] = []string{l.Value}
	}
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

// ServePeers has a server answer other replicas by its handler: what they pass on is
// believed about whom a request is from, see [OriginOf]. It must stand behind a listener
// that lets in nobody but them, see [secretsync/httpapi/listen.Mutual], and be called before
// that is made.
func ServePeers(server *http.Server) {
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(takeIn(r.Context(), r.Header)))
	})
	hop.Register(server, next, takeIn)
}

// takeIn puts into a request's context what its header says of its origin.
func takeIn(ctx context.Context, h http.Header) context.Context {
	o := take(h)
	return context.WithValue(ctx, originKey{}, &o)
}

// OriginOf returns what was passed on with a request; ok is false for one that another
// replica did not pass on.
func OriginOf(r *http.Request) (o Origin, ok bool) {
	if passed, ok := r.Context().Value(originKey{}).(*Origin); ok {
		return *passed, true
	}
	return Origin{}, false
}
