package remote

import (
	"context"
	"errors"
	"fmt"
	"io"

	"secretsync/gitstore/internal/remote/wire"
)

// Session is a push that is being prepared: the remote has told where its
// references are and is to move them from there.
//
//	OpenPush ──► Refs known ──► Push ──► moved, or an error ──► Close
//	                       └─────────── nothing to push ──────────┘
type Session struct {
	// Refs is where the references were when the session was opened.
	Refs Refs

	remote       *Remote
	conversation conversation
	capabilities wire.Capabilities
}

// OpenPush begins a push. Of the references those are kept whose names begin with
// one of the prefixes. The session may be left open for as long as a fetch takes;
// over SSH it holds a connection.
func (r *Remote) OpenPush(ctx context.Context, prefixes ...string) (*Session, error) {
	x, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer x.end()
	c, err := r.carrier.open(x, receivePack)
	if err != nil {
		return nil, r.fail(x, err)
	}
	a, err := r.hearPush(x, c, prefixes)
	if err != nil {
		err = r.fail(x, c.explain(err))
		c.close()
		return nil, err
	}
	return &Session{Refs: a.Refs, remote: r, conversation: c, capabilities: a.Capabilities}, nil
}

func (r *Remote) hearPush(x *exchange, c conversation, prefixes []string) (wire.Advertisement, error) {
	in, err := c.hear(x, r.endpoint.settings.MaxAdvertisement)
	if err != nil {
		return wire.Advertisement{}, err
	}
	a, err := in.ReadAdvertisement(r.wanted(prefixes))
	if err != nil {
		return a, fmt.Errorf("read the references: %w", err)
	}
	if a.Version == wire.V2 {
		return a, fmt.Errorf("the push service speaks version 2: %w", wire.ErrMalformed)
	}
	return a, nil
}

// Close gives the session up.
func (s *Session) Close() { s.conversation.close() }

// maxReport bounds the answer to a push: its report, and what hooks say.
const maxReport = 4 << 20

// Push asks for updates, all or none of which happen, with a pack that holds
// what the remote may lack. Pack is called again if the request must be made
// again; nil, if all updates remove references. A session is pushed once.
//
// Nil means that all were made. With [Unknown] they may have been; with every
// other kind they were not.
func (s *Session) Push(ctx context.Context, updates []Update, pack func() io.Reader) error {
	r := s.remote
	message, err := wire.PushRequest(s.capabilities, updates)
	if err != nil {
		return r.fail(nil, err)
	}
	x, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer x.end()
	defer s.conversation.close()
	answer, sent, err := s.conversation.ask(x, request{message: message, pack: pack, limit: maxReport})
	if local, ok := errors.AsType[*packError](err); ok {
		return local // and the remote, which has half a pack, does nothing
	}
	if err != nil {
		return r.unsettled(x, sent, s.conversation.explain(err))
	}
	report, err := answer.ReadReport(s.capabilities, updates)
	if err != nil {
		e := r.unsettled(x, sent, s.conversation.explain(fmt.Errorf("read what became of the push: %w", err)))
		if e.Words == "" {
			e.Words = r.clean(report.Words)
		}
		return e
	}
	return r.judge(report, updates)
}

// unsettled returns the error of a push that was not answered.
func (r *Remote) unsettled(x *exchange, sent bool, err error) *Error {
	e := r.fail(x, err)
	// A status below 500 is the server's word that it has not looked at the push.
	// One above may come from a proxy that only doesn't know.
	if !sent || e.refused {
		return e
	}
	return &Error{Kind: Unknown, Remote: e.Remote, Words: e.Words, Err: e.Err,
		Cause: "it is not known whether the push was made: " + e.Cause}
}
