package vault

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"secretsync/reconcile/fault"
)

// events is what is known of following the vault's event notifications. They
// only say where to look at once: what they miss, the polls find.
//
//	Config.Events, logged in ──► asked for ──► followed ──► lost: asked for again, with growing pauses
//	                                 ├─► the vault has none: told once, asked for again in an hour
//	                                 └─► not allowed: told once, asked for again in ten minutes, or after a login
//
// One connection at most is open, on one goroutine of the broker's. It ends where
// the token, the place of the values or the way to the vault is another.
// The broker's mutex guards it.
type events struct {
	stop       context.CancelFunc // of the connection, or of the attempt; nil where there is neither
	http       *http.Client       // that it was made by
	generation uint32             // of the token
	places     uint64

	open   bool                 // it is followed
	byPath map[string][]*Source // all sources while a connection is, or is asked for
	due    time.Time            // when to ask for one
	tries  int                  // that failed or did not last, in a row
	ended  ending               // of the last one
	told   ending               // what the log said of why there is none
}

// ending is why a connection ended, or none came.
type ending uint8

const (
	lost        ending = iota
	unsupported        // the vault has no such thing
	unallowed          // the policy forbids it
)

const (
	eventsAt = "sys/events/subscribe/kv*"

	eventsFirst       = time.Second // the first pause
	eventsMost        = time.Minute // the longest
	eventsLasted      = time.Minute // after which the pauses are short again
	eventsDenied      = 10 * time.Minute
	eventsUnsupported = time.Hour

	eventsPing   = 30 * time.Second // between two looks whether the other side is there
	maxEventSize = 256 << 10
)

// What came of a notification, as Options.Noticed is told.
const (
	EventMatched    = "matched"    // it names a path that is followed
	EventUnmatched  = "unmatched"  // it names another
	EventUnreadable = "unreadable" // it is none, or tells of no change
)

// Events tells whether event notifications of the vault are wanted, and whether
// they are followed now.
func (b *Broker) Events() (wanted, followed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cfg.Events, b.events.open
}

// followEvents opens the connection when it is time, and ends one that is no
// longer right.
func (b *Broker) followEvents(now time.Time) time.Time {
	e := &b.events
	if e.stop != nil {
		if !b.cfg.Events || b.client == nil || e.http != b.client.way.http || e.generation != b.session.generation || e.places != b.places {
			e.due, e.tries = now, 0
			e.stop() // it says when it has ended
		}
		return never(now)
	}
	switch {
	case !b.cfg.Events:
		e.byPath, e.due, e.told = nil, time.Time{}, lost
		return never(now)
	case !b.usable():
		return never(now)
	case e.places != b.places || e.ended == unallowed && e.generation != b.session.generation:
		e.due, e.tries = now, 0
	}
	if e.due.After(now) {
		return e.due
	}
	var ctx context.Context
	ctx, e.stop = context.WithCancel(b.ctx)
	e.http, e.generation, e.places = b.client.way.http, b.session.generation, b.places
	e.byPath = make(map[string][]*Source)
	b.each(e.enter)
	c, token := b.client, b.session.token
	b.start(func(context.Context) { b.listen(ctx, c, token) })
	return never(now)
}

// enter has events about a source's path found. It costs nothing where none are
// followed.
func (e *events) enter(s *Source) {
	if e.byPath != nil {
		e.byPath[s.path] = append(e.byPath[s.path], s)
	}
}

func (e *events) leave(s *Source) {
	others := e.byPath[s.path]
	for i, other := range others {
		if other == s {
			if others = append(others[:i:i], others[i+1:]...); len(others) == 0 {
				delete(e.byPath, s.path)
			} else {
				e.byPath[s.path] = others
			}
			return
		}
	}
}

// listen follows the events over one connection until that ends.
func (b *Broker) listen(ctx context.Context, c *client, token string) {
	began := b.o.Clock.Now()
	conn, why, detail := c.subscribe(ctx, token)
	if conn != nil {
		b.mu.Lock()
		b.events.open = ctx.Err() == nil
		b.events.told = lost
		b.mu.Unlock()
		b.log.Info("vault event notifications are followed")
		detail = b.receive(ctx, conn)
	}
	b.mu.Lock()
	defer b.poke()
	defer b.mu.Unlock()
	e := &b.events
	replaced := ctx.Err() != nil
	e.stop()
	e.stop, e.open = nil, false
	if replaced {
		return // by something else than its own failing: what comes next is due
	}
	now := b.o.Clock.Now()
	if now.Sub(began) >= eventsLasted {
		e.tries = 0
	}
	pause := min(eventsFirst<<min(e.tries, 10), eventsMost)
	e.tries++
	switch e.ended = why; why {
	case unsupported:
		pause = eventsUnsupported
		if e.told != why {
			b.log.Warn("vault has no event notifications (they are part of Vault Enterprise); changes are found by polling alone", "detail", detail)
		}
	case unallowed:
		pause = eventsDenied
		if e.told != why {
			b.log.Warn("vault does not let the tenant's login follow event notifications; changes are found by polling alone. Its policy needs read on "+eventsAt+", and list and subscribe on the tenant's paths", "detail", detail)
		}
	default:
		b.log.Debug("vault event notifications ended", "detail", detail)
	}
	e.told = why
	e.due = now.Add(time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64())))
}

// receive takes in what comes over a connection until it ends, and returns why it did.
func (b *Broker) receive(ctx context.Context, conn *websocket.Conn) string {
	ctx, stop := context.WithCancel(ctx)
	var alive sync.WaitGroup
	defer alive.Wait()
	defer stop()
	defer func() { _ = conn.CloseNow() }() // nobody waits for the other side to agree
	alive.Go(func() {
		for {
			timer := b.o.Clock.NewTimer(eventsPing)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C():
			}
			within, cancel := context.WithTimeout(ctx, DefaultTimeout)
			err := conn.Ping(within)
			cancel()
			if err != nil {
				stop()
				return
			}
		}
	})
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return fault.Clean(err.Error())
		}
		outcome := b.notice(text)
		if b.o.Noticed != nil {
			b.o.Noticed(outcome)
		}
	}
}

// notice has the path read that an event is about.
func (b *Broker) notice(text []byte) string {
	e, ok := parseEvent(text)
	if !ok {
		return EventUnreadable
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	path, ok := e.in(b.cfg)
	if !ok {
		return EventUnmatched
	}
	sources := b.events.byPath[path]
	now := b.o.Clock.Now()
	for _, s := range sources {
		s.hint(b.least, now)
	}
	if len(sources) == 0 {
		return EventUnmatched
	}
	return EventMatched
}

// subscribe opens a connection over which the vault tells of every change in its
// KV engines that the token may know of.
func (c *client) subscribe(ctx context.Context, token string) (conn *websocket.Conn, why ending, detail string) {
	within, cancel := context.WithTimeout(ctx, c.cfg.timeout())
	defer cancel()
	header := http.Header{"X-Vault-Request": yes, "X-Vault-Token": {token}}
	if n := strings.Trim(c.cfg.Namespace, "/"); n != "" {
		header["X-Vault-Namespace"] = []string{n}
	}
	to := c.base
	to.Path = strings.TrimRight(to.Path, "/") + "/v1/" + eventsAt
	to.RawQuery = "json=true"
	began := time.Now() // of a request's duration, which no clock of a test decides
	outcome := "ok"
	for redirected := false; ; redirected = true {
		conn, answer, err := websocket.Dial(within, to.String(), &websocket.DialOptions{HTTPClient: c.way.http, HTTPHeader: header})
		if err == nil {
			conn.SetReadLimit(maxEventSize)
			c.request("events", outcome, began)
			return conn, lost, ""
		}
		status := 0
		if answer != nil {
			status = answer.StatusCode
			if next, bad := to.Parse(answer.Header.Get("Location")); !redirected && bad == nil && status/100 == 3 && next.Host != "" && (next.Scheme == "https" || next.Scheme == to.Scheme) {
				to = *next // a standby sends us to the active node, never down from TLS
				continue
			}
		}
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return nil, lost, ""
		case status == http.StatusForbidden:
			why, outcome = unallowed, string(fault.ReasonVaultForbidden)
		case status/100 == 2, status == http.StatusBadRequest, status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
			why, outcome = unsupported, "unsupported"
		case status == http.StatusTooManyRequests:
			outcome = "throttled"
		default:
			outcome = string(fault.ReasonVaultUnavailable)
		}
		c.request("events", outcome, began)
		return nil, why, fault.Clean(err.Error())
	}
}

// request tells what came of a request.
func (c *client) request(kind, outcome string, began time.Time) {
	if c.requested != nil {
		c.requested(kind, outcome, time.Since(began))
	}
}
