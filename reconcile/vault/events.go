package vault

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/coder/websocket"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/event"
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
	way        *access.Way        // that it was made by
	generation uint32             // of the token
	places     uint64

	open   bool                 // it is followed
	byPath map[string][]*Source // all sources while a connection is, or is asked for
	due    time.Time            // when to ask for one
	tries  int                  // that failed or did not last, in a row
	ended  event.Ending         // of the last one
	told   event.Ending         // what the log said of why there is none
}

const (
	eventsFirst       = time.Second // the first pause
	eventsMost        = time.Minute // the longest
	eventsLasted      = time.Minute // after which the pauses are short again
	eventsDenied      = 10 * time.Minute
	eventsUnsupported = time.Hour

	eventsPing = 30 * time.Second // between two looks whether the other side is there
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
		if !b.cfg.Events || b.client == nil || e.way != b.client.Way || e.generation != b.session.generation || e.places != b.places {
			e.due, e.tries = now, 0
			e.stop() // it says when it has ended
		}
		return never(now)
	}
	switch {
	case !b.cfg.Events:
		e.byPath, e.due, e.told = nil, time.Time{}, event.Lost
		return never(now)
	case !b.usable():
		return never(now)
	case e.places != b.places || e.ended == event.Unallowed && e.generation != b.session.generation:
		e.due, e.tries = now, 0
	}
	if e.due.After(now) {
		return e.due
	}
	var ctx context.Context
	ctx, e.stop = context.WithCancel(b.ctx)
	e.way, e.generation, e.places = b.client.Way, b.session.generation, b.places
	e.byPath = make(map[string][]*Source)
	b.each(e.enter)
	c, token := b.client, b.session.Token
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
func (b *Broker) listen(ctx context.Context, c *access.Client, token string) {
	began := b.o.Clock.Now()
	conn, why, detail := event.Subscribe(ctx, c, token)
	if conn != nil {
		b.mu.Lock()
		b.log.Info("vault event notifications are followed")
		b.events.open = ctx.Err() == nil
		b.events.told = event.Lost
		b.mu.Unlock()
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
	case event.Unsupported:
		pause = eventsUnsupported
		if e.told != why {
			b.log.Warn("vault has no event notifications (they are part of Vault Enterprise); changes are found by polling alone", "detail", detail)
		}
	case event.Unallowed:
		pause = eventsDenied
		if e.told != why {
			b.log.Warn("vault does not let the tenant's login follow event notifications; changes are found by polling alone. Its policy needs read on "+event.At+", and list and subscribe on the tenant's paths", "detail", detail)
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
			within, cancel := context.WithTimeout(ctx, access.DefaultTimeout)
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
	e, ok := event.Parse(text)
	if !ok {
		return EventUnreadable
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	path, ok := e.In(b.cfg)
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
