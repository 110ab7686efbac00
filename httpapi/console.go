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
)

// The console, see package console: pages for people. It reaches the API through
// inProcess and nothing else.
const consolePath = "/console/"

var consoleRoutes = []route{
	{http.MethodGet, "/", "", (*Server).servePage},
	{http.MethodGet, consolePath + "*page", "", (*Server).servePage},
	{http.MethodPost, consolePath + "*page", "", (*Server).servePage},
}

// servePage hands a request to the console, which answers it itself.
func (s *Server) servePage(x *exchange) (*answer, error) {
	if x.r.URL.Path == "/" && !strings.Contains(x.r.Header.Get("Accept"), "text/html") {
		return nil, errNoRoute // a program, which is told so as anywhere else
	}
	r := x.r.WithContext(context.WithValue(x.r.Context(), visitor{}, x))
	s.console.Serve(&pageWriter{x}, r, x.cookiesForTLS())
	return nil, nil
}

// forPeople reports whether somebody with a browser asks for a page of the console.
func forPeople(r *http.Request) bool {
	return (r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, consolePath)) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// cookiesForTLS reports whether the console's cookies are for TLS alone.
func (x *exchange) cookiesForTLS() bool { return x.overTLS() || x.s.cfg.Console == ConsoleTLS }

// visitor is the key under which a request to the console has its exchange.
type visitor struct{}

func visitorOf(r *http.Request) *exchange {
	x, _ := r.Context().Value(visitor{}).(*exchange)
	return x
}

// pageWriter takes note for the log of what the console answers.
type pageWriter struct{ *exchange }

func (w *pageWriter) WriteHeader(status int) {
	w.status = status
	w.record()
	w.ResponseWriter.WriteHeader(status)
}

func (w *pageWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
		w.record()
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += n
	return n, err
}

// Unwrap lets [http.ResponseController] find the connection.
func (w *pageWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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
	x := visitorOf(r)
	key, hash, err := a.s.verify(x.state, token, x.began)
	if err = x.letIn(key, hash, err); err != nil {
		p := problemOf(err)
		x.denied, x.token = denial(err, p.status), token
		return console.Identity{}, &console.Error{Status: p.status, Sentence: p.sentence}
	}
	if x.state.tenants[key.Tenant.String()] == nil {
		return console.Identity{}, &console.Error{Status: errNotHeld.status, Sentence: errNotHeld.sentence}
	}
	if !key.Role.Allows(apikey.Readonly) {
		x.denied = audit.WrongRole
		return console.Identity{}, &console.Error{Status: errSyncOnly.status, Sentence: errSyncOnly.sentence}
	}
	x.did = audit.SignedIn
	return console.Identity{
		Tenant: key.Tenant.String(), KeyID: key.ID, Name: key.DisplayName, Admin: key.Role.Allows(apikey.Admin),
		Expires: key.ExpiresAt, Proof: hash,
	}, nil
}

// SignedOut takes note of the end of a session.
func (a inProcess) SignedOut(r *http.Request, who console.Identity) {
	x := visitorOf(r)
	x.key, x.did = a.s.find(x.state, new(bool))(who.KeyID), audit.SignedOut
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
	inner.Header.Set("X-Request-Id", x.requestID)
	if call.Body != nil {
		inner.Header.Set("Content-Type", "application/json")
	}
	if call.Match != "" {
		inner.Header.Set("If-Match", call.Match)
	}
	rec := recorder{header: http.Header{}, status: http.StatusOK}
	a.s.serveOn(a.s.router, &rec, inner)
	return console.Answer{Status: rec.status, Header: rec.header, Body: rec.body.Bytes()}
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

// endSessions ends the console's sessions of a key that was revoked.
func (s *Server) endSessions(keyID string) {
	if s.console != nil {
		s.console.EndSessions(keyID)
	}
}
