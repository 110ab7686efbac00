package console

import (
	"io"
	"net/http"
	"time"
)

const (
	// calm is how long news are gathered before they are told.
	calm = time.Second
	// heartbeat lets proxies and the key's end be noticed.
	heartbeat = 15 * time.Second
	// writePatience is how long one line may take to be taken.
	writePatience = 30 * time.Second
)

// live tells, as server-sent events, that what a page shows may be another by now. It
// tells nothing else: what it is, the page asks for as it did before.
func (v *visit) live(w http.ResponseWriter) error {
	if v.r.Method == http.MethodHead {
		return nil
	}
	if !v.c.sessions.Enter(v.s) {
		return &Error{Status: http.StatusTooManyRequests, Sentence: "too many pages are kept fresh at once; this one works, and stays as it is"}
	}
	defer v.c.sessions.Leave(v.s)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	connection := http.NewResponseController(w)
	tell := func(text string) bool {
		// Not every connection has deadlines; without them there is none to hit.
		_ = connection.SetReadDeadline(time.Time{})
		_ = connection.SetWriteDeadline(time.Now().Add(writePatience))
		if _, err := io.WriteString(w, text); err != nil {
			return false
		}
		return connection.Flush() == nil
	}
	changed := v.c.api.Changed(v.who) // before the page asks for what is now
	w.WriteHeader(http.StatusOK)
	if !tell("retry: 5000\n\n") {
		return nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-changed:
			rest := time.NewTimer(calm)
			select {
			case <-rest.C:
			case <-v.s.Over():
				rest.Stop()
				return nil
			case <-v.ctx.Done():
				rest.Stop()
				return nil
			}
			// The next change first: what comes while this one is told is told as well.
			changed = v.c.api.Changed(v.who)
			if !v.stillIn() || !tell("event: change\ndata:\n\n") {
				return nil
			}
		case <-beat.C:
			if !v.stillIn() || !tell(": still here\n\n") {
				return nil
			}
		case <-v.s.Over():
			return nil
		case <-v.c.serving:
			return nil
		case <-v.ctx.Done():
			return nil
		}
	}
}

// stillIn reports whether the session lives and its key still opens the tenant.
func (v *visit) stillIn() bool {
	return v.c.sessions.Stands(v.s) && v.get("", nil) == nil
}
