package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secretsync/gitstore"
	"secretsync/httpapi/forward/hop"
)

// Why a request was not answered by the replica that holds its tenant.
var (
	// ErrUndone: it did not get there. It can be made again, whatever it is.
	ErrUndone = errors.New("the replica that holds the tenant can't be reached")
	// ErrUnclear: it was sent, and no answer came. It may have been done.
	ErrUnclear = errors.New("the replica that holds the tenant did not answer")
	// ErrHere: no answer came, and this replica holds the tenant by now, and may answer
	// itself: nothing was done, or the request only reads. Its body is still there.
	ErrHere = errors.New("this replica holds the tenant by now")
	// ErrMoved: who was asked does not hold the tenant any more, or not yet. Nothing was done, and
	// the request's body is still there.
	ErrMoved = errors.New("the replica that was asked does not hold the tenant")
	// ErrBody: the client's body could not be read to its end, so that nothing was done.
	ErrBody = errors.New("the body could not be read to its end")
	// ErrCutOff: a part of the answer was passed on, and the rest can't be had, or not
	// be delivered. The connection to the client has to be cut as well.
	ErrCutOff = errors.New("the answer was cut off")
)

// Holders tells which replica works for a tenant now.
type Holders interface {
	// Holder returns where the replica that holds a tenant is reached by others, such as
	// 10.0.0.7:8444, and whether it is this one. With neither nobody holds it now. It
	// waits for nothing, and answers for any name, whether there is such a tenant or not.
	Holder(gitstore.TenantName) (address string, mine bool)
	// Err says, in words for clients, why this replica can't know or can't hold anything
	// now; nil: it can.
	Err() error
}

// Patience is how long a holder may take. What is zero has a default.
type Patience struct {
	// Dial bounds the making of a connection, its certificates included: 3 s.
	Dial time.Duration
	// Answer bounds the silence of a holder that is asked something ordinary: 50 s, so
	// that there is time to tell before the client's connection is over.
	Answer time.Duration
	// Wait is the same where the client asks it to wait (?wait=): 6 min.
	Wait time.Duration
	// Stream is the same for Git and for events, in the middle of them as well: 2 min.
	Stream time.Duration
	// Lost is how long a silent holder is waited for after the tenant came to another
	// one: 3 s. What only reads is asked of the other one, or answered here if that is this
	// replica, after a third of that in silence.
	Lost time.Duration
	// Move is how long a request waits for a tenant that is changing hands: 3 s.
	Move time.Duration
	// Step is how long a client of Git or of events may take to send or to read some
	// more: 30 s.
	Step time.Duration
	// Reach is how long the machine of a holder may acknowledge nothing of what was sent to
	// it: 5 s. However slow a holder is, its kernel does so at once; one that does not is
	// gone, or the network is.
	Reach time.Duration
}

func (p Patience) withDefaults() Patience {
	for _, d := range []struct {
		of        *time.Duration
		otherwise time.Duration
	}{
		{&p.Dial, 3 * time.Second}, {&p.Answer, 50 * time.Second}, {&p.Wait, 6 * time.Minute},
		{&p.Stream, 2 * time.Minute}, {&p.Lost, 3 * time.Second}, {&p.Move, 3 * time.Second}, {&p.Step, 30 * time.Second}, {&p.Reach, 5 * time.Second},
	} {
		if *d.of == 0 {
			*d.of = d.otherwise
		}
	}
	return p
}

// Config is what a [Forwarder] needs.
type Config struct {
	Holders Holders
	// Here reports whether this replica can answer for a tenant that it holds; it may be
	// just taking it over. Nil: it always can.
	Here func(gitstore.TenantName) bool
	// TLS is how this replica presents itself, and whom it takes for another one.
	TLS      *tls.Config
	Patience Patience
	Now      func() time.Time      // nil: time.Now
	Log      *slog.Logger          // nil: nothing is logged
	Metrics  prometheus.Registerer // nil: nothing is counted
}

// Forwarder passes requests on. It is safe for concurrent use.
type Forwarder struct {
	Holders
	here      func(gitstore.TenantName) bool
	patience  Patience
	ways      *ways
	strangers *strangers
	transport *http.Transport // for what is not short
	dialShort func(ctx context.Context, network, address string) (net.Conn, error)
	short     hop.Pool
	trips     sync.Pool // of *shortTrip
	buffers   buffers
	metrics   *metrics
	log       *slog.Logger
}

// Move is how long a request waits for a tenant that is changing hands.
func (f *Forwarder) Move() time.Duration { return f.patience.Move }

const (
	// idlePerHolder is how many connections to one holder are kept for the next requests.
	idlePerHolder = 128
	// idleTime is less than the holder keeps a connection, so that a request seldom meets
	// one that is just being closed.
	idleTime = time.Minute
	// mostAnswerHeader bounds the header of an answer, in bytes.
	mostAnswerHeader = 64 << 10
	// bufferSize is what bodies are copied with, in bytes.
	bufferSize = 32 << 10
)

// New makes a forwarder.
func New(cfg Config) (*Forwarder, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Here == nil {
		cfg.Here = func(gitstore.TenantName) bool { return true }
	}
	f := &Forwarder{Holders: cfg.Holders, here: cfg.Here, patience: cfg.Patience.withDefaults(), strangers: newStrangers(cfg.Now), log: cfg.Log}
	f.ways = newWays(cfg.Now, f.patience.Dial)
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if f.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, fmt.Errorf("forward: %w", err)
	}
	shortTLS := cfg.TLS.Clone()
	shortTLS.NextProtos = append([]string{hop.Protocol}, shortTLS.NextProtos...)
	f.dialShort = f.dialBy(&tls.Dialer{Config: shortTLS, NetDialer: f.patience.dialer(true)}, false)
	f.transport = &http.Transport{
		DialTLSContext:         f.dialBy(&tls.Dialer{Config: cfg.TLS, NetDialer: f.patience.dialer(false)}, true),
		DisableCompression:     true, // answers pass as they are
		MaxIdleConnsPerHost:    idlePerHolder,
		IdleConnTimeout:        idleTime,
		ExpectContinueTimeout:  f.patience.Answer, // the holder decides whether it wants the body
		MaxResponseHeaderBytes: mostAnswerHeader,
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
	}
	return f, nil
}

// Close gives up the connections that nobody uses. Requests under way go on.
func (f *Forwarder) Close() {
	f.transport.CloseIdleConnections()
	f.short.Close()
}

// Call is a request to pass on.
type Call struct {
	Tenant gitstore.TenantName
	To     string // the address of who holds it
	Origin Origin
	Last   bool // the client's connection ends with the answer
}

// Forward has a request answered by the holder. After an error other than
// [ErrCutOff] nothing was answered, and that is left to the caller.
func (f *Forwarder) Forward(w http.ResponseWriter, r *http.Request, call Call) (err error) {
	f.metrics.inFlight.Inc()
	began := time.Now()
	defer func() {
		f.metrics.inFlight.Dec()
		f.metrics.observe(outcomeOf(err), time.Since(began))
	}()
	if isShort(r) && !f.ways.old(call.To) {
		if err = f.forwardShort(w, r, call); err != errOld {
			return err
		}
	}
	return f.forwardLong(w, r, call)
}

// forwardLong has a request answered over HTTP/1.1.
func (f *Forwarder) forwardLong(w http.ResponseWriter, r *http.Request, call Call) (err error) {
	pace := paceOf(r)
	ctx, cancel := pace.untilLeft(r.Context())
	defer cancel()
	trip := newLongTrip(f, &call, r, pace)
	defer trip.end()
	out := r.WithContext(ctx)
	defer pace.finish(w, &f.patience)
	w = oneContinue{pace.prepare(w, out, &f.patience)}

	var failed error
	proxy := httputil.ReverseProxy{
		Transport:  trip,
		BufferPool: &f.buffers,
		ErrorLog:   slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
		Rewrite: func(p *httputil.ProxyRequest) {
			// What can't be parsed was taken out of the query; that is the holder's to judge.
			p.Out.URL.RawQuery = p.In.URL.RawQuery
			p.Out.URL.Scheme, p.Out.URL.Host = "https", call.To
			p.Out.Host = p.In.Host // cookies and forms are held against it
			for name := range p.Out.Header {
				if !passes(name) {
					delete(p.Out.Header, name)
				}
			}
			call.Origin.write(p.Out.Header)
		},
		ModifyResponse: func(answer *http.Response) error {
			answer.Header.Del(MovedHeader) // of one whose body was on its way already
			if call.Last {                 // of its own connection the holder said it or not
				answer.Header["Connection"] = []string{"close"}
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
	}
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler {
				panic(v)
			}
			err = errors.Join(ErrCutOff, trip.gaveUp())
		}
	}()
	proxy.ServeHTTP(w, out)
	if failed == nil && trip.gaveUp() != nil {
		// Who is asked sees it before we do, and may end what is not whole as if it were.
		return errors.Join(ErrCutOff, trip.gaveUp())
	}
	return failed
}

// oneContinue leaves 100 Continue to net/http, which says it when the client's body is first
// read: that is when the holder asked for it. The proxy would say it as well.
type oneContinue struct{ http.ResponseWriter }

func (w oneContinue) WriteHeader(status int) {
	if status != http.StatusContinue {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Unwrap lets [http.ResponseController] find the connection.
func (w oneContinue) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// passes reports whether a header's line is the holder's. There is nothing to upgrade to,
// with an Idempotency-Key net/http takes any request for one that may be sent twice, and
// where a request came from each replica says itself.
func passes(name string) bool {
	switch name {
	case "Connection", "Upgrade", "Idempotency-Key", "X-Idempotency-Key", "Forwarded", "X-Forwarded-Host", addressHeader, schemeHeader, idHeader:
		return false
	}
	return true
}

// buffers are used again.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if v, ok := b.pool.Get().(*[]byte); ok {
		return *v
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }
