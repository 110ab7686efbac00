package httpapi

import (
	"context"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/forward"
)

// Handovers tells of tenants that go from one replica to another.
type Handovers interface {
	// ChangesHands reports whether nobody is known to hold a tenant, and a replica that lives is
	// about to. It waits for nothing.
	ChangesHands(gitstore.TenantName) bool
	// Moved returns a channel that is closed when somebody else holds a tenant, or another one
	// changes hands, than when it was asked for.
	Moved() <-chan struct{}
}

// handover is the wait of one request for a tenant that is changing hands: it is answered a moment
// later, where its client would have been sent away to come back. It waits for what a replica that
// lives is about to do, and for a bounded time ([forward.Patience]); who died is not waited for.
//
// Who waits has shown a right key of the tenant, or none where none is needed, and is one of so many
// of the tenant, or of all who need none: a flood of guesses holds up nobody.
type handover struct {
	server *Server
	x      *exchange.Exchange
	tenant gitstore.TenantName
	hash   *apikey.Hash // of the key it shows, if its path needs one

	state   *state          // in force at the last look
	moved   <-chan struct{} // since the last look
	passing bool            // it may be passed on
	denier  string          // the replica that was asked last and did not hold the tenant; empty: none
	counted time.Time       // the last look, till when what the client lets it wait is shortened; zero: there was none
	release func()          // its place among those who wait; nil: it has none
	ctx     context.Context // of all its waits; nil: it has not begun
	finish  func()
}

// look finds out who holds the tenant. What changes from here on ends [handover.wait].
func (h *handover) look() (to string, mine bool) {
	if handovers := h.server.cfg.Replicas.Handovers; handovers != nil {
		h.moved = handovers.Moved()
	}
	h.state = h.server.state.Load()
	if to, mine = h.server.peers.Holder(h.tenant); to != h.denier {
		h.denier = ""
	}
	h.count()
	return to, mine
}

// count takes the time since the last look off that for which the client lets its request wait at the holder.
func (h *handover) count() {
	now := h.server.now()
	if !h.counted.IsZero() {
		forward.ShortenWait(h.x.Request, now.Sub(h.counted))
	}
	h.counted = now
}

// underway reports whether somebody is about to answer for the tenant who did not yet at the last look.
func (h *handover) underway(to string, mine bool) bool {
	handovers := h.server.cfg.Replicas.Handovers
	switch {
	case handovers == nil:
		return false
	case mine || to != "":
		return mine || to == h.denier
	case handovers.ChangesHands(h.tenant):
		return true
	}
	to, mine = h.server.peers.Holder(h.tenant) // it may have been taken since, which ends the wait
	return mine || to != ""
}

// wait waits for a change since the last look. It reports whether there was one.
func (h *handover) wait() bool {
	if h.release == nil && !h.enter() {
		return false
	}
	h.begin()
	began := h.server.now()
	defer func() { h.x.Waited += h.server.now().Sub(began) }()
	select {
	case <-h.moved:
	case <-h.state.replaced:
	case <-h.ctx.Done():
		return false
	}
	return true
}

// enter takes a place among those who wait. It is kept till the request is passed on, which may take
// hours, or [handover.end].
func (h *handover) enter() (ok bool) {
	whose, ok := h.mayWait()
	if ok {
		h.release, ok = h.server.shares.Of(whose).Waiter()
	}
	return ok
}

// giveBack gives the place back, if there is one.
func (h *handover) giveBack() {
	if h.release != nil {
		h.release()
		h.release = nil
	}
}

// mayWait reports whether who asks may wait, and among whom.
func (h *handover) mayWait() (whose gitstore.TenantName, ok bool) {
	s, x := h.server, h.x
	if h.hash == nil {
		return whose, true // who needs no key is one of all such
	}
	// Keys from an address that is blocked are not looked at: that it is kept waiting would tell that one is right.
	if s.addresses.Barred(x.Remote, *h.hash, &h.state.limits, x.Began) > 0 {
		return whose, false
	}
	key, _, err := s.keyFor(h.state, x.Request, x.Began)
	return h.tenant, err == nil && key.Tenant == h.tenant
}

// begin sets the end of all waits of the request, at the first of them.
func (h *handover) begin() {
	if h.ctx != nil {
		return
	}
	ctx, cancel := context.WithTimeout(h.x.Request.Context(), h.server.peers.Move())
	stop := context.AfterFunc(h.server.serving, cancel)
	h.ctx, h.finish = ctx, func() {
		stop()
		cancel()
	}
}

// end ends the wait, if it began.
func (h *handover) end() {
	h.giveBack()
	if h.finish != nil {
		h.finish()
		h.server.peers.ObserveWait(h.x.Waited)
	}
}
