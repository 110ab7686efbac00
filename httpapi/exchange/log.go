package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/problem"
)

// End records the exchange: the one line in the log, and the metrics. A panic
// in a handler ends that request alone.
func (x *Exchange) End() {
	x.desk.metrics.inFlight.Dec()
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler {
			panic(v)
		}
		x.desk.cfg.Log.Error("handler panicked", "request_id", x.RequestID, "panic", v, "stack", string(debug.Stack()))
		if x.status == 0 {
			x.Refuse(problem.ErrInner)
		}
	}
	x.record()                            // where it was not answered by send
	took := x.desk.cfg.Now().Sub(x.Began) // without the time that the client takes to read
	if x.forwardedTo != "" && x.status != 0 && !x.cut {
		x.deliver()
	}
	if x.observers == nil {
		x.observers = x.desk.unrouted[methodLabel(x.Request.Method)]
	}
	if x.span != nil {
		x.endSpan()
	}
	x.observers.observe(x.status, took)

	level := slog.LevelInfo
	if x.Within && x.Request.Method == http.MethodGet {
		level = slog.LevelDebug // a page has a line of its own, whatever it is made from
	}
	if x.status >= 500 && !errors.Is(x.cause, context.Canceled) { // a client that went away is no fault
		level = slog.LevelError
	}
	if ctx := x.Request.Context(); x.observers.log.Enabled(ctx, level) {
		x.observers.log.LogAttrs(ctx, level, "request", x.attrs(took)...)
	}
	cut := x.cut
	*x = Exchange{}
	exchanges.Put(x)
	if cut {
		panic(http.ErrAbortHandler) // so that the client does not take it for whole
	}
}

// deliver sends what was answered by another replica before its line is written: who was passed
// on has waited for two replicas, and does not wait for their logs. An answer of an unknown
// length would be sent in chunks by that, and one over HTTP/2 in one frame more.
func (x *Exchange) deliver() {
	if x.Request.ProtoMajor == 1 && x.Header()["Content-Length"] != nil {
		_ = http.NewResponseController(x.ResponseWriter).Flush() // a client that went away is no error of ours
	}
}

// attrs are the fields of the request's line in the log, beside its route.
func (x *Exchange) attrs(took time.Duration) []slog.Attr {
	// Only what was parsed is logged: the path as it came in could hold
	// anything, even a key.
	attrs := append(make([]slog.Attr, 0, 10),
		slog.String("request_id", x.RequestID),
		slog.String("remote", x.Remote.String()),
		slog.Int("status", x.status),
		slog.Int("bytes", x.bytes),
		slog.Duration("duration", took),
	)
	if x.Key != nil {
		attrs = append(attrs, slog.String("tenant", x.Key.Tenant.String()), slog.String("key", x.Key.ID))
	}
	if !x.Name.IsZero() {
		attrs = append(attrs, slog.String("name", x.Name.String()))
	}
	if x.Operations > 0 {
		attrs = append(attrs, slog.Int("operations", x.Operations))
	}
	if len(x.Updates) > 0 {
		attrs = append(attrs, slog.Any("pushed", pushed(x.Updates)))
	}
	if x.Event != "" {
		attrs = append(attrs, slog.String("event", string(x.Event)))
	}
	if x.forwardedTo != "" {
		attrs = append(attrs, slog.String("forwarded_to", x.forwardedTo))
	}
	if x.Waited > 0 {
		attrs = append(attrs, slog.Duration("waited", x.Waited))
	}
	if x.Branch != "" {
		attrs = append(attrs, slog.String("branch", x.Branch))
	}
	if x.Subject != "" {
		attrs = append(attrs, slog.String("subject", x.Subject))
	}
	if x.cause != nil {
		attrs = append(attrs, slog.String("error", x.cause.Error()))
	}
	return attrs
}

// mostRefsLogged bounds what one push has in its line of the log.
const mostRefsLogged = 20

// pushed tells which references a push moved, for those who record it.
func pushed(updates []githttp.Update) (told []string) {
	for _, u := range updates[:min(len(updates), mostRefsLogged)] {
		what := "refused"
		if u.Done {
			what = short(u.Old) + ".." + short(u.New)
		}
		told = append(told, loggedRef(u.Ref)+" "+what)
	}
	if more := len(updates) - mostRefsLogged; more > 0 {
		told = append(told, fmt.Sprintf("and %d more", more))
	}
	return told
}

func short(id string) string { return id[:min(len(id), 12)] }

// loggedRef is the name of a reference, if it is one that can stand in a log as
// it is: a client makes it up.
func loggedRef(ref string) string {
	if !wellFormedID(ref) || strings.Contains(ref, apikey.TokenPrefix) {
		return "(another name)"
	}
	return ref
}
