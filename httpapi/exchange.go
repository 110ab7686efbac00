package httpapi

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/julienschmidt/httprouter"
	"go.opentelemetry.io/otel/trace"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/forge"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/console"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/header"
	"secretsync/httpapi/kept"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/render"
)

// exchange is one request and its answer. It is made for each request, handed
// to the handler, and written to the log once at the end. As a ResponseWriter
// it passes through the router, and counts.
type exchange struct {
	http.ResponseWriter
	s     *Server
	state *state
	r     *http.Request
	began time.Time

	requestID string
	remote    netip.Addr

	// Set on the way.
	route      *route // nil: no route matched
	observers  *observers
	params     httprouter.Params
	key        *apikey.Key      // nil: no key was needed, or none was accepted
	tenant     *Tenant          // the key's own, and the one in the path
	name       definition.Name  // of the definition asked for
	branch     string           // of what was proposed
	subject    string           // id of the API key made or revoked
	operations int              // of a batch
	updates    []githttp.Update // that a push asked for
	event      forge.Event      // that a hook was told of
	status     int
	bytes      int
	cause      error // of a 5xx answer, for the log

	// For the auditor:
	did      audit.Kind        // what a request does that is more than using a key
	made     gitstore.Revision // the commit that it made
	denied   audit.Reason
	token    string // a key that was shown in a form, and not in a header
	recorded bool

	forwardedTo string // the replica that was to answer
	cut         bool   // the answer broke off, and so does the connection

	span trace.Span // nil: it is not traced
}

// answer is what a handler answers with. Secrets never appear in one.
type answer struct {
	status      int
	etag        string
	location    string
	warnings    []string
	contentType string       // empty: JSON
	body        []byte       // nil: none
	kept        *kept.Answer // where the body was kept; nil: nowhere
}

// exchanges are used again: nothing keeps one beyond its request.
var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// serveOn is the one way into the API: every request passes here, in this order,
// so that nobody learns more than his key allows. A missing or bad key is 401,
// before anything else is looked at; then another tenant is 403, whether it
// exists or not; then comes the route (404, 405), then the role (403), and
// only then the body and what is stored.
func (s *Server) serveOn(router router, w http.ResponseWriter, r *http.Request) {
	x := exchanges.Get().(*exchange)
	*x = exchange{ResponseWriter: w, s: s, state: s.state.Load(), r: r, began: s.now()}
	s.metrics.inFlight.Inc()
	defer x.end()
	x.requestID = requestID(r.Header)
	x.remote = limit.Remote(r, x.state.proxies)
	if origin, ok := forward.OriginOf(r); ok && origin.Address.IsValid() {
		x.remote = origin.Address
	}
	if s.cfg.Tracer != nil {
		x.beginSpan()
		r = x.r
	}
	x.openAnswer()
	if x.elsewhere() {
		return
	}

	check := func() error { return x.takeFromAddress(false) }
	if needsKey(r) {
		check = x.authenticate
	}
	if err := check(); err != nil {
		x.fail(err)
		return
	}
	if r.URL.RawPath != "" {
		x.fail(errNoRoute)
		return
	}
	if r.Method == http.MethodOptions && r.URL.Path == "*" {
		options(x, r)
		return
	}
	router.ServeHTTP(x, r)
}

// openAnswer sets what every answer bears.
func (x *exchange) openAnswer() {
	h := x.Header()
	h["X-Request-Id"] = []string{x.requestID}
	setSecurityHeaders(h)
	if x.overTLS() {
		h["Strict-Transport-Security"] = hsts
	}
	if x.isLast() {
		h["Connection"] = connectionClose
	}
}

// isLast reports whether the client's connection ends with the answer.
func (x *exchange) isLast() bool {
	// The next request is another server's, over a connection that is.
	return x.s.leaving.Load() ||
		// Chunked: if there was a length as well, whoever passed the request on
		// may have believed that, and taken the rest for the next request (RFC
		// 9112, section 6.1). net/http does not tell; so there is no next.
		len(x.r.TransferEncoding) > 0
}

// needsKey reports whether a request is let in only with a key: all of the API
// except its description, and the repositories. What methods a path has is in that description, so
// OPTIONS tells it to everybody.
func needsKey(r *http.Request) bool {
	path := r.URL.Path
	return (strings.HasPrefix(path, "/api/") && path != openAPIPath || underGit(r)) && r.Method != http.MethodOptions
}

// run calls the route's handler if the key's role allows it.
func (x *exchange) run() {
	if need := x.route.role; need != "" {
		if x.key == nil {
			x.fail(errNoKey)
			return
		}
		if !x.key.Role.Allows(need) {
			err := errRole
			if x.key.Role == apikey.Sync {
				err = errSyncOnly
			}
			x.fail(err)
			return
		}
	}
	a, err := x.route.handle(x.s, x)
	switch {
	case err != nil:
		x.fail(err)
	case a != nil: // or else the handler has answered
		x.send(a)
	}
}

// query parses what follows the '?'. What is not well-formed is refused: left
// out, it would be done without.
func (x *exchange) query() (url.Values, error) {
	values, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("query", "is not well-formed; write name=value pairs with '&' between them")
	}
	return values, nil
}

// definitionName parses the {name} of the path. A name that is none names
// nothing, so it is 404 like any other that is not there.
func (x *exchange) definitionName() (definition.Name, error) {
	name, err := definition.ParseName(x.params.ByName("name"))
	if err != nil {
		return definition.Name{}, noSuch("secret", x.params.ByName("name"), x.tenant)
	}
	x.name = name
	return name, nil
}

// entry finds the definition that the path names.
func (x *exchange) entry() (*gitstore.Entry, error) {
	name, err := x.definitionName()
	if err != nil {
		return nil, err
	}
	snapshot, err := x.snapshot()
	if err != nil {
		return nil, err
	}
	e, ok := snapshot.Get(name)
	if !ok {
		return nil, noSuch("secret", name.String(), x.tenant)
	}
	return e, nil
}

// snapshot returns what stands at HEAD. A repository that could not be read
// since the start is not taken for an empty one.
func (x *exchange) snapshot() (*gitstore.Snapshot, error) {
	// The health first: what was healthy then has a snapshot that was read.
	health := x.tenant.Repository.Healthy()
	snapshot := x.tenant.Repository.Snapshot()
	if !snapshot.Read() {
		return nil, unreadable(health)
	}
	return snapshot, nil
}

// commit says who writes, for the commit and its trailers.
func (x *exchange) commit() gitstore.Attribution {
	return gitstore.Attribution{
		Author:    gitstore.Author{Name: x.key.DisplayName, ID: x.key.ID},
		RequestID: x.requestID,
	}
}

// fail writes an error as every error is written.
func (x *exchange) fail(err error) {
	p := problemOf(err)
	x.cause, x.denied = p.cause, denial(err, p.status)
	h := x.Header()
	switch p.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="secretsync"`)
		if underGit(x.r) {
			h.Set("WWW-Authenticate", `Basic realm="secretsync", charset="UTF-8"`)
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.FormatInt(seconds(p.retryAfter), 10))
	}
	if p.undone {
		h.Set(forward.UndoneHeader, "true")
	}
	if x.s.console != nil && forPeople(x.r) {
		x.s.console.Refuse(&pageWriter{x}, x.r, &console.Error{Status: p.status, Sentence: p.sentence})
		return
	}
	if underGit(x.r) && !strings.Contains(x.r.Header.Get("Accept"), "json") {
		// Git shows an error to people if it is text.
		x.send(&answer{status: p.status, contentType: "text/plain; charset=utf-8", body: []byte(p.sentence + "\n")})
		return
	}
	x.send(&answer{status: p.status, body: errorBody(p.sentence)})
}

// errorBody is the form that all errors have.
func errorBody(sentence string) []byte {
	return append(render.String([]byte(`{"error":`), sentence), '}', '\n')
}

// send writes an answer.
func (x *exchange) send(a *answer) {
	h := x.Header()
	if a.location != "" {
		h["Location"] = []string{a.location}
	}
	if len(a.warnings) > 0 {
		h["Warning"] = a.warnings
	}
	x.status = a.status
	x.record()
	body := a.body
	var length []string
	switch r := a.kept; {
	case body == nil:
		x.WriteHeader(a.status)
		return
	case r != nil && r.ETag != nil:
		h["Etag"], length = r.ETag, r.Length
	case a.etag != "":
		h["Etag"] = []string{a.etag}
	case len(body) >= gzipFrom:
		// An entity tag is strong: it stands for one sequence of bytes, so
		// only what bears none is ever compressed.
		h["Vary"] = varyEncoding
		if header.AcceptsGzip(x.r.Header["Accept-Encoding"]) {
			h["Content-Encoding"] = gzipEncoding
			if r != nil {
				body = r.Compressed()
			} else {
				body = kept.Compress(body)
			}
		}
	}
	if length == nil {
		length = []string{strconv.Itoa(len(body))}
	}
	h["Content-Length"] = length
	h["Content-Type"] = jsonType
	if a.contentType != "" {
		h["Content-Type"] = []string{a.contentType}
	}
	x.WriteHeader(a.status)
	if x.r.Method != http.MethodHead {
		x.bytes, _ = x.Write(body) // a client that went away is no error of ours
	}
}

// gzipFrom is the length in bytes from which compression is worth its time.
const gzipFrom = 8 << 10

// Shared by all answers; nothing appends to them.
var (
	varyEncoding = []string{"Accept-Encoding"}
	gzipEncoding = []string{"gzip"}
)

var connectionClose = []string{"close"}

var jsonType = []string{"application/json"}

// end records the exchange: the one line in the log, and the metrics. A panic
// in a handler ends that request alone.
func (x *exchange) end() {
	x.s.metrics.inFlight.Dec()
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler {
			panic(v)
		}
		x.s.log.Error("handler panicked", "request_id", x.requestID, "panic", v, "stack", string(debug.Stack()))
		if x.status == 0 {
			x.fail(errInner)
		}
	}
	x.record() // where it was not answered by send
	if x.observers == nil {
		x.observers = x.s.unrouted[methodLabel(x.r.Method)]
	}
	if x.span != nil {
		x.endSpan()
	}
	took := x.s.now().Sub(x.began)
	x.observers.observe(x.status, took)

	level := slog.LevelInfo
	if _, within := proofOf(x.r); within && x.r.Method == http.MethodGet {
		level = slog.LevelDebug // a page has a line of its own, whatever it is made from
	}
	if x.status >= 500 && !errors.Is(x.cause, context.Canceled) { // a client that went away is no fault
		level = slog.LevelError
	}
	if ctx := x.r.Context(); x.observers.log.Enabled(ctx, level) {
		x.observers.log.LogAttrs(ctx, level, "request", x.attrs(took)...)
	}
	cut := x.cut
	*x = exchange{}
	exchanges.Put(x)
	if cut {
		panic(http.ErrAbortHandler) // so that the client does not take it for whole
	}
}

// attrs are the fields of the request's line in the log, beside its route.
func (x *exchange) attrs(took time.Duration) []slog.Attr {
	// Only what was parsed is logged: the path as it came in could hold
	// anything, even a key.
	attrs := append(make([]slog.Attr, 0, 10),
		slog.String("request_id", x.requestID),
		slog.String("remote", x.remote.String()),
		slog.Int("status", x.status),
		slog.Int("bytes", x.bytes),
		slog.Duration("duration", took),
	)
	if x.key != nil {
		attrs = append(attrs, slog.String("tenant", x.key.Tenant.String()), slog.String("key", x.key.ID))
	}
	if !x.name.IsZero() {
		attrs = append(attrs, slog.String("name", x.name.String()))
	}
	if x.operations > 0 {
		attrs = append(attrs, slog.Int("operations", x.operations))
	}
	if len(x.updates) > 0 {
		attrs = append(attrs, slog.Any("pushed", pushed(x.updates)))
	}
	if x.event != "" {
		attrs = append(attrs, slog.String("event", string(x.event)))
	}
	if x.forwardedTo != "" {
		attrs = append(attrs, slog.String("forwarded_to", x.forwardedTo))
	}
	if x.branch != "" {
		attrs = append(attrs, slog.String("branch", x.branch))
	}
	if x.subject != "" {
		attrs = append(attrs, slog.String("subject", x.subject))
	}
	if x.cause != nil {
		attrs = append(attrs, slog.String("error", x.cause.Error()))
	}
	return attrs
}

// knownMethods are those that may stand in logs and metrics; what a client
// makes up does not.
var knownMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

const otherMethod = "other"

func methodLabel(method string) string {
	if slices.Contains(knownMethods, method) {
		return method
	}
	return otherMethod
}

// requestID keeps a well-formed id that came in, and makes one else. Well
// formed is what can stand in a log line and in a commit's trailer as it is.
func requestID(h http.Header) string {
	if ids := h["X-Request-Id"]; len(ids) == 1 && wellFormedID(ids[0]) {
		return ids[0]
	}
	// It has to be unlike others, not unguessable.
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], rand.Uint64())
	binary.BigEndian.PutUint64(b[8:], rand.Uint64())
	return hex.EncodeToString(b[:])
}

func wellFormedID(s string) bool {
	if len(s) == 0 || len(s) > 128 || strings.HasPrefix(s, apikey.TokenPrefix) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.:/+=~@", rune(c)) {
			return false
		}
	}
	return true
}
