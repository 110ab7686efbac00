package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/console"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/problem"
)

// The console, see package console: pages for people. It reaches the API through
// inProcess and nothing else.
const consolePath = "/console/"

// servePage hands a request to the console, which answers it itself.
func (s *Server) servePage(x *exchange.Exchange) (*exchange.Answer, error) {
	if x.Request.URL.Path == "/" && !strings.Contains(x.Request.Header.Get("Accept"), "text/html") {
		return nil, problem.ErrNoRoute // a program, which is told so as anywhere else
	}
	r := x.Request.WithContext(context.WithValue(x.Request.Context(), visitor{}, x))
	s.console.Serve(x.Stream(), r, s.cookiesForTLS(x))
	return nil, nil
}

// forPeople reports whether somebody with a browser asks for a page of the console.
func forPeople(r *http.Request) bool {
	return (r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, consolePath)) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// refuseAsPage writes an error as a page.
func (s *Server) refuseAsPage(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	s.console.Refuse(w, r, &console.Error{Status: p.Status, Sentence: p.Sentence})
}

// cookiesForTLS reports whether the console's cookies are for TLS alone.
func (s *Server) cookiesForTLS(x *exchange.Exchange) bool {
	return x.TLS || s.cfg.Console == ConsoleTLS
}

// visitor is the key under which a request to the console has its exchange.
type visitor struct{}

func visitorOf(r *http.Request) *exchange.Exchange {
	x, _ := r.Context().Value(visitor{}).(*exchange.Exchange)
	return x
}

// inProcess is the API as the console reaches it: every call passes [Server.serveOn]
// as one from outside does. In place of a key it carries what proves that a key was
// right at sign-in, and it is held against what is known of that key now.
type inProcess struct{ s *Server }

// proof stands in a call's context. Only this package can put it there.
type proof struct {
	id   string
	hash apikey.Hash
}

func proofOf(r *http.Request) (proof, bool) {
	p, ok := r.Context().Value(proof{}).(proof)
	return p, ok
}

// SignIn judges a key as the API would, and counts a wrong one against the address.
func (a inProcess) SignIn(r *http.Request, token string) (console.Identity, error) {
	x, st := visitorOf(r), a.s.state.Load()
	key, hash, err := a.s.verify(st, token, x.Began)
	if err = a.s.letIn(st, x, key, hash, err); err != nil {
		p := problem.Of(err)
		x.Deny(p.Denied, token)
		return console.Identity{}, &console.Error{Status: p.Status, Sentence: p.Sentence}
	}
	if st.tenants[key.Tenant.String()] == nil {
		return console.Identity{}, &console.Error{Status: errNotHeld.Status, Sentence: errNotHeld.Sentence}
	}
	if !key.Role.Allows(apikey.Readonly) {
		x.Deny(audit.WrongRole, "")
		return console.Identity{}, &console.Error{Status: problem.ErrSyncOnly.Status, Sentence: problem.ErrSyncOnly.Sentence}
	}
	x.Did = audit.SignedIn
	return console.Identity{
		Tenant: key.Tenant.String(), KeyID: key.ID, Name: key.DisplayName, Admin: key.Role.Allows(apikey.Admin),
		Expires: key.ExpiresAt, Proof: hash,
	}, nil
}

// SignedOut takes note of the end of a session.
func (a inProcess) SignedOut(r *http.Request, who console.Identity) {
	x := visitorOf(r)
	x.Key, x.Did = a.s.find(a.s.state.Load(), who.KeyID), audit.SignedOut
}

// Do makes a call as the key that signed in.
func (a inProcess) Do(r *http.Request, who console.Identity, call console.Call) console.Answer {
	x := visitorOf(r)
	ctx := context.WithValue(r.Context(), proof{}, proof{who.KeyID, who.Proof})
	var body io.Reader
	if call.Body != nil {
		body = bytes.NewReader(call.Body)
	}
	inner, err := http.NewRequestWithContext(ctx, call.Method, tenantsPath+who.Tenant+call.Path, body)
	if err != nil {
		return console.Answer{Status: http.StatusNotFound, Header: http.Header{}}
	}
	inner.RemoteAddr = r.RemoteAddr
	inner.Header["X-Forwarded-For"] = r.Header["X-Forwarded-For"]
	inner.Header.Set("X-Request-Id", x.RequestID)
	if call.Body != nil {
		inner.Header.Set("Content-Type", "application/json")
	}
	if call.Match != "" {
		inner.Header.Set("If-Match", call.Match)
	}
	rec := exchange.NewRecorder()
	a.s.serveOn(a.s.router, rec, inner)
	return console.Answer{Status: rec.Status, Header: rec.Header(), Body: rec.Body.Bytes()}
}

// Changed is closed when a status of the tenant may be another one.
func (a inProcess) Changed(who console.Identity) <-chan struct{} {
	t := a.s.state.Load().tenants[who.Tenant]
	if t == nil {
		return nil
	}
	return a.s.cfg.Reconciler.Changed(t.Name)
}

var _ console.API = inProcess{}

// Console says whether there is one, and how it is reached.
type Console int

// Ways to serve it.
const (
	NoConsole   Console = iota
	ConsoleHere         // cookies are for TLS alone where a request came so
	ConsoleTLS          // cookies are for TLS alone: a proxy before us ends it
)
