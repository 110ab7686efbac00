package httpapi

import (
	"context"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/exchange"
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
	ctx     context.Context // of the wait; nil: it has not begun
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
	return to, mine
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
	select {
	case <-h.moved: // it may have been taken since
		return true
	default:
		return false
	}
}

// wait waits for a change since the last look. It reports whether there was one.
func (h *handover) wait() bool {
	if h.ctx == nil && !h.begin() {
		return false
	}
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

func (h *handover) begin() bool {
	var whose gitstore.TenantName // who needs no key is one of all such
	if h.hash != nil {
		key, _, err := h.server.keyFor(h.state, h.x.Request, h.x.Began)
		if err != nil || key.Tenant != h.tenant {
			return false
		}
		whose = h.tenant
	}
	release, ok := h.server.shares.Of(whose).Waiter()
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(h.x.Request.Context(), h.server.peers.Move())
	stop := context.AfterFunc(h.server.serving, cancel)
	h.ctx, h.finish = ctx, func() {
		stop()
		cancel()
		release()
	}
	return true
}

// end ends the wait, if it began.
func (h *handover) end() {
	if h.finish != nil {
		h.finish()
		h.server.peers.ObserveWait(h.x.Waited)
	}
}
