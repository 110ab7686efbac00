package exchange

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/julienschmidt/httprouter"
	"go.opentelemetry.io/otel/trace"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/forge"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/tenants"
)

// Exchange is one request and its answer. It is made for each request, handed
// to the handler, and written to the log once at the end. As a ResponseWriter
// it passes through the router, and counts. Nothing keeps one beyond its request.
type Exchange struct {
	http.ResponseWriter
	Request   *http.Request
	Began     time.Time
	RequestID string
	Caller
	Params httprouter.Params

	// Set by who lets the request in.
	Key    *apikey.Key     // nil: no key was needed, or none was accepted
	Tenant *tenants.Tenant // the key's own, and the one in the path

	Notes

	desk        *Desk
	route       *Route // nil: no route matched
	observers   *observers
	span        trace.Span // nil: it is not traced
	status      int
	bytes       int
	cause       error // of a 5xx answer, for the log
	denied      audit.Reason
	token       string // a key that was shown in a form, and not in a header
	recorded    bool
	forwardedTo string // the replica that was to answer
	cut         bool   // the answer broke off, and so does the connection
}

// Notes are what a handler tells of a request beside its answer, for the log and the
// auditor.
type Notes struct {
	Name       definition.Name  // of the definition asked for
	Branch     string           // of what was proposed
	Subject    string           // id of the API key made or revoked, and the like
	Operations int              // how many definitions it is to change
	Updates    []githttp.Update // that a push asked for
	Event      forge.Event      // that a hook was told of
	Did        audit.Kind       // what it does that is more than using a key
	Made       catalog.Revision // the commit that it made
	Waited     time.Duration    // for its tenant, which was changing hands
}

// Caller is what is known of who makes a request before his key is looked at.
type Caller struct {
	Remote  netip.Addr
	TLS     bool   // he came over TLS, to whichever replica
	Trusted bool   // he is a proxy of ours or another replica: his trace is gone on with
	Within  bool   // it is the console, which makes a page of the answer
	Probe   bool   // it is a probe or a scrape, which is of no trace
	Manner  Manner // how he is told of errors
}

// Manner is the form of errors.
type Manner int

// The forms.
const (
	JSON Manner = iota
	Text        // the sentence as text, which git shows to people, unless JSON is asked for
	Page        // a page for people
)

var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// Begin opens an exchange; its End has to be deferred right after.
func (d *Desk) Begin(w http.ResponseWriter, r *http.Request, caller Caller) *Exchange {
	x := exchanges.Get().(*Exchange)
	*x = Exchange{ResponseWriter: w, desk: d, Request: r, Began: d.cfg.Now(), RequestID: requestID(r.Header), Caller: caller}
	d.metrics.inFlight.Inc()
	if d.cfg.Tracer != nil && !caller.Probe {
		x.beginSpan()
	}
	return x
}

// Open sets what every answer bears that is not another replica's.
func (x *Exchange) Open() {
	h := x.Header()
	h["X-Request-Id"] = []string{x.RequestID}
	setSecurityHeaders(h)
	if x.TLS {
		h["Strict-Transport-Security"] = hsts
	}
	if x.Last() {
		h["Connection"] = connectionClose
	}
}

// Last reports whether the client's connection ends with the answer.
func (x *Exchange) Last() bool {
	// The next request is another server's, over a connection that is.
	return x.desk.cfg.Leaving() ||
		// Chunked: if there was a length as well, whoever passed the request on
		// may have believed that, and taken the rest for the next request (RFC
		// 9112, section 6.1). net/http does not tell; so there is no next.
		len(x.Request.TransferEncoding) > 0
}

// Status is what was answered; 0: nothing yet.
func (x *Exchange) Status() int { return x.status }

// Deny notes for the auditor that a key was refused that was shown in a form.
func (x *Exchange) Deny(why audit.Reason, token string) { x.denied, x.token = why, token }

// PassingOn notes that it is to be answered by another replica.
func (x *Exchange) PassingOn() { x.observers = x.desk.forwarded[methodLabel(x.Request.Method)] }

// PassTo prepares for the answer of another replica, which is written to what it returns:
// it goes on with the trace, and has all of the answer's headers.
func (x *Exchange) PassTo(replica string) http.ResponseWriter {
	x.forwardedTo = replica
	x.passTrace()
	return x.Stream()
}

// TakeBack undoes [Exchange.PassingOn] and [Exchange.PassTo]: nobody answered, and it is to be
// answered here.
func (x *Exchange) TakeBack() { x.observers, x.forwardedTo = nil, "" }

// Refuse writes an error of a request that is not let in here, or that was passed on and
// came to no answer.
func (x *Exchange) Refuse(err error) {
	x.status = 0
	x.Open()
	x.Fail(err)
}

// CutOff notes that an answer broke off; the connection ends, so that the client does not
// take it for whole.
func (x *Exchange) CutOff(cause error) { x.cause, x.cut = cause, true }
