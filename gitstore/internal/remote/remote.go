package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/remote/wire"
)

// Refs is what a remote says of its references.
type Refs = wire.Refs

// Update moves one reference of a remote, if it is where it is expected.
type Update = wire.Update

// The services of a Git server.
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// carrier brings requests to a server, and its answers back.
type carrier interface {
	// open begins a conversation with a service. It is closed before x ends.
	open(x *exchange, service string) (conversation, error)
	// stateless: a request can be made without hearing first what the service says.
	stateless() bool
	close()
}

// conversation is one with a service of a repository. It may span exchanges.
type conversation interface {
	// hear returns what the service says first, up to some bytes.
	hear(x *exchange, limit int64) (*wire.Reader, error)
	// ask sends a request and returns the answer. Sent tells whether any of the
	// request may have been sent.
	ask(x *exchange, q request) (answer *wire.Reader, sent bool, err error)
	// explain adds to an error what the service has said elsewhere.
	explain(err error) error
	close()
}

// request is what is asked of a service.
type request struct {
	version wire.Version
	message []byte
	pack    func() io.Reader // follows the message; nil: none
	limit   int64            // of the answer, in bytes
}

// packError: the pack that was to be pushed could not be read. It is not the
// remote's doing.
type packError struct{ err error }

func (e *packError) Error() string { return "read the pack that is to be pushed: " + e.err.Error() }
func (e *packError) Unwrap() error { return e.err }

// Remote is one repository on a Git server. Its methods may be called at the
// same time.
type Remote struct {
	endpoint Endpoint
	hosts    *Hosts
	host     *host
	carrier  carrier

	mu    sync.Mutex
	heard *wire.Advertisement // what the server can do, once it has said so; without references
}

// New returns the remote at an endpoint. It asks nothing yet.
func New(e Endpoint, hosts *Hosts) *Remote {
	r := &Remote{endpoint: e, hosts: hosts, host: hosts.host(e.host)}
	if e.scheme == "ssh" {
		r.carrier = newSSHCarrier(r)
	} else {
		r.carrier = newHTTPCarrier(r)
	}
	return r
}

// String returns the URL, fit to be shown.
func (r *Remote) String() string { return r.endpoint.String() }

// Close gives up the connections. No method may be running or be called after.
func (r *Remote) Close() { r.carrier.close() }

// Refs returns the references whose names begin with one of the prefixes, and
// HEAD. No prefix: all.
func (r *Remote) Refs(ctx context.Context, prefixes ...string) (Refs, error) {
	x, err := r.begin(ctx)
	if err != nil {
		return Refs{}, err
	}
	defer x.end()
	refs, err := r.refs(x, r.wanted(prefixes))
	if err != nil {
		return Refs{}, r.fail(x, err)
	}
	return refs, nil
}

func (r *Remote) wanted(prefixes []string) wire.Wanted {
	return wire.Wanted{Prefixes: prefixes, MaxRefs: r.endpoint.settings.MaxRefs}
}

func (r *Remote) refs(x *exchange, w wire.Wanted) (Refs, error) {
	c, err := r.carrier.open(x, uploadPack)
	if err != nil {
		return Refs{}, err
	}
	defer c.close()
	if known, own := r.known(); known != nil && known.Version == wire.V2 {
		refs, err := r.listRefs(x, c, *known, w)
		if err == nil {
			r.remember(known)
			return refs, nil
		}
		if !mayBeDifferent(err, own) {
			return refs, err
		}
		r.remember(nil)
	}
	a, err := r.hear(x, c, w)
	if err != nil {
		return Refs{}, c.explain(err)
	}
	if a.Version != wire.V2 {
		return a.Refs, nil
	}
	refs, err := r.listRefs(x, c, a, w)
	return refs, c.explain(err)
}

// mayBeDifferent reports whether an error may come from a server that isn't, or no longer, what
// was known of it, so that it is worth asking it. If it never said so itself (own is false) any
// refusal is, as that of a server which knows no such request at all.
func mayBeDifferent(err error, own bool) bool {
	if e, ok := errors.AsType[*Error](err); ok && !own && e.refused && e.Kind != Denied && e.Kind != Throttled {
		return true
	}
	_, says := errors.AsType[*wire.ServerError](err)
	return says || errors.Is(err, wire.ErrMalformed) || errors.Is(err, NotFound) || errors.Is(err, errMoved) || errors.Is(err, io.ErrUnexpectedEOF)
}

// known returns what the server can do, so that a request may be made at once: as it said of this
// repository, or of another one at its host. Nil: it is to be heard first.
func (r *Remote) known() (a *wire.Advertisement, own bool) {
	if !r.carrier.stateless() {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heard != nil {
		return r.heard, true
	}
	return r.host.heard.Load(), false
}

func (r *Remote) remember(a *wire.Advertisement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = a
}

// hear has the upload service say what it can do.
func (r *Remote) hear(x *exchange, c conversation, w wire.Wanted) (wire.Advertisement, error) {
	in, err := c.hear(x, r.endpoint.settings.MaxAdvertisement)
	if err != nil {
		return wire.Advertisement{}, err
	}
	a, err := in.ReadAdvertisement(w)
	if err != nil {
		return a, fmt.Errorf("read the references: %w", err)
	}
	said := &wire.Advertisement{Version: a.Version, Capabilities: a.Capabilities}
	r.remember(said)
	if said.Version == wire.V2 {
		r.host.heard.Store(said)
	}
	return a, nil
}

func (r *Remote) listRefs(x *exchange, c conversation, a wire.Advertisement, w wire.Wanted) (Refs, error) {
	answer, _, err := c.ask(x, request{version: a.Version, message: wire.RefsRequest(a.Capabilities, w), limit: r.endpoint.settings.MaxAdvertisement})
	if err != nil {
		return Refs{}, err
	}
	refs, err := answer.ReadRefs(w)
	if err != nil {
		return refs, fmt.Errorf("read the references: %w", err)
	}
	return refs, nil
}

// Wanted says what a fetch is to bring.
type Wanted struct {
	Wants []object.Hash // references' objects; at least one
	// Haves are commits that are here with all they refer to, newest first. A few
	// are enough: the remote sends what is reachable from the wants and not from
	// those of them it knows. If it knows none, all comes.
	Haves    []object.Hash
	MaxBytes int64 // of the pack
}

// overhead is what comes besides a pack: acknowledgements, lengths, progress.
const overhead = 1 << 20

// Fetch has take read a pack, which is not thin, and returns what that returns.
// A pack that ends before its time makes reading it fail; that the pack is
// whole by its own trailer is for take to check.
func (r *Remote) Fetch(ctx context.Context, w Wanted, take func(pack io.Reader) error) error {
	x, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer x.end()
	c, err := r.carrier.open(x, uploadPack)
	if err != nil {
		return r.fail(x, err)
	}
	defer c.close()
	pack, err := r.openPack(x, c, w)
	if err != nil {
		return r.fail(x, c.explain(err))
	}
	p := &packReader{from: pack, limit: w.MaxBytes, ended: x.end}
	err = take(p)
	if p.err != nil && p.err != io.EOF { // not take's fault
		return r.fail(x, c.explain(p.err))
	}
	return err
}

func (r *Remote) openPack(x *exchange, c conversation, w Wanted) (io.Reader, error) {
	if known, own := r.known(); known != nil {
		pack, err := r.askPack(x, c, *known, w)
		if err == nil || !mayBeDifferent(err, own) {
			return pack, err
		}
		r.remember(nil)
	}
	a, err := r.hear(x, c, wire.Wanted{Prefixes: []string{"HEAD"}, MaxRefs: 1})
	if err != nil {
		return nil, err
	}
	return r.askPack(x, c, a, w)
}

func (r *Remote) askPack(x *exchange, c conversation, a wire.Advertisement, w Wanted) (io.Reader, error) {
	// Every 65515 bytes of a pack come with five of their own.
	limit := w.MaxBytes + w.MaxBytes/64 + overhead
	answer, _, err := c.ask(x, request{version: a.Version, message: wire.FetchRequest(a, w.Wants, w.Haves), limit: limit})
	if err != nil {
		return nil, err
	}
	pack, err := answer.ReadPack(a)
	if err != nil {
		return nil, fmt.Errorf("ask for a pack: %w", err)
	}
	return pack, nil
}

// packReader reads a pack up to a limit, and keeps the error it ended with.
type packReader struct {
	from  io.Reader
	limit int64
	ended func() // called at the end of the pack: the remote has done its part
	read  int64
	err   error
}

func (p *packReader) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.from.Read(b)
	if p.read += int64(n); p.read > p.limit {
		n, err = 0, &limitError{"the pack", p.limit}
	}
	if err != nil {
		p.err = err
	}
	if err == io.EOF {
		p.ended()
	}
	return n, err
}
