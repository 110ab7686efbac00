package vault

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/kv"
)

// State is what is known of a path's value.
type State struct {
	// Version is the newest one known, also where Fault says that it can't be
	// copied; zero while there is none.
	Version kv.Version
	// Fault is why there is no value to copy: ValueNotFound, ValueDeleted,
	// ValueTooLarge to be read, VaultForbidden, or VaultUnavailable where the
	// vault works but not for this path. Nil where there is one, or nothing is
	// known. Whether the vault can be reached at all is Broker.Outage.
	Fault *fault.Fault
	// Asked says that a read that was asked for (Refresh) has not ended:
	// meanwhile Version may be an old one.
	Asked bool
	// Known says that the vault gave an answer since the start: Version or Fault.
	Known bool
	// Checked is when the vault last confirmed Version and Fault.
	Checked time.Time
	// Confirmed says that Version is older than one seen before (an earlier
	// answer, or what Confirm told) and that the vault kept to it while it was
	// asked again: it was turned back, such as by a restored backup.
	Confirmed bool
	// Stood is when the vault last confirmed what Version and Fault were before
	// they last changed.
	Stood time.Time
}

// A Source is one path of a tenant's vault that is followed. There may be
// hundreds of thousands; what most of them don't need most of the time is in
// demand.
type Source struct {
	b       *Broker
	path    string
	changed func()

	// Guarded by the broker's mutex.
	version   kv.Version
	fault     *fault.Fault
	w         *demand
	checked   int64         // nanoseconds of Unix time
	stood     int64         // checked, of what was known before
	due       int64         // when it is to be read, if not by a poll; 0 is never
	every     time.Duration // the shortest interval that somebody asked for; 0 is none
	dataUntil uint32        // seconds of Unix time; until then the data is asked, not the metadata
	slot      int32         // of the wheel; or ownPace
	position  int32         // in the slot, or among the paces
	class     class         // it waits with; none is not at all
	running   bool          // it is being read
	parked    bool          // it waits for a login
	known     bool
	confirmed bool
	closed    bool
	alone     bool // everybody who uses it asked for an interval
	hinted    bool // it is to be read for a Hint
}

// demand is what somebody wants of a source: its value, a fresh answer, or to
// know whether an answer that is older than one seen before is right.
type demand struct {
	held    int       // requests
	value   *kv.Value // of Source.version; nil where it is not in memory
	number  uint64    // of the value, among all that were ever in memory
	wanted  bool      // somebody looked for the value since it was dropped
	asked   uint32    // counts the calls of Refresh
	done    uint32    // the last that was answered
	askedAt time.Time
	cause   trace.SpanContext // of the first who asked for the value
	tries   int               // reads that found the vault unavailable, in a row

	// seen is a version that was made after Source.version: it was answered
	// before, or a copy bears it. confirming is since when older answers came;
	// confirmedTo is what seen was when the vault had kept to its answer.
	seen        kv.Version
	confirming  time.Time
	pauses      int
	confirmedTo kv.Version
}

// demand returns what is wanted of the source, to be added to.
func (s *Source) demand() *demand {
	if s.w == nil {
		s.w = &demand{}
	}
	return s.w
}

// tidy lets go of it when nothing is wanted any more. A read under way goes by its counts:
// one that began before a Refresh is never to be taken for the answer to that.
func (s *Source) tidy() {
	if w := s.w; w != nil && !s.running && w.held == 0 && w.value == nil && w.asked == w.done && w.tries == 0 && w.seen.IsZero() && w.confirmedTo.IsZero() {
		s.w = nil
	}
}

// Path returns the path as it was given.
func (s *Source) Path() string { return s.path }

// Close ends following it. Requests of it give no value any more.
func (s *Source) Close() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.b.unplace(s)
	s.b.events.leave(s)
	s.b.values.drop(s)
	s.w = nil
}

// State returns what is known, from memory.
func (s *Source) State() State {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	state := State{
		Version: s.version, Fault: s.fault, Known: s.known, Confirmed: s.confirmed,
		Asked: s.w != nil && s.w.asked != s.w.done,
	}
	if s.checked != 0 {
		state.Checked = time.Unix(0, s.checked)
	}
	if s.stood != 0 {
		state.Stood = time.Unix(0, s.stood)
	}
	return state
}

// Look has the version read soon, if nothing is known yet.
func (s *Source) Look() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if !s.known && s.due == 0 {
		s.b.enqueue(s, wanted)
	}
}

// Refresh has the value read again now, ahead of everything. State.Asked holds
// until a read that began after it has ended.
func (s *Source) Refresh() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.closed {
		return
	}
	now := s.b.o.Clock.Now()
	w := s.demand()
	w.asked++
	w.askedAt = now
	s.due = 0
	s.b.enqueue(s, urgent)
	s.b.refreshed(now)
}

// refreshed has a login tried again that was denied: whoever asks for a read
// may have mended it.
func (b *Broker) refreshed(now time.Time) {
	if s := &b.session; s.Token == "" && s.denial && now.Sub(s.failedAt) >= denialFirst {
		s.hurry()
		b.files.due = now
		b.poke()
	}
}

// Confirm tells that a copy bears a version that was made after State.Version.
// The vault is asked again, with pauses, until it answers one that is no older
// than seen, or has kept to its answer for some ten seconds: then State.Confirmed.
// To say the same again costs nothing.
func (s *Source) Confirm(seen kv.Version) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.closed || !s.version.Before(seen) {
		return
	}
	w := s.demand()
	if s.confirmed && !w.confirmedTo.Before(seen) || !w.confirming.IsZero() && !w.seen.Before(seen) {
		return
	}
	w.seen, w.confirmedTo, w.confirming, w.pauses = seen, kv.Version{}, s.b.o.Clock.Now(), 0
	s.confirmed = false
	s.due = 0
	s.b.enqueue(s, wanted)
}

// Request asks for the value. It is read once, however many requests there are,
// and held in memory until the last is released.
func (s *Source) Request() *Request { return s.RequestIn(trace.SpanContext{}) }

// RequestIn is Request on behalf of a span, if it is one: the read, if one is needed, is
// part of its trace.
func (s *Source) RequestIn(in trace.SpanContext) *Request {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	r := &Request{s: s}
	if s.closed {
		return r
	}
	w := s.demand()
	w.held++
	w.wanted = true
	if w.value == nil && !w.cause.IsValid() {
		w.cause = in
	}
	s.fetch()
	return r
}

// fetch has the value read if it is wanted and could be there.
func (s *Source) fetch() {
	if s.wantsValue() && s.due == 0 {
		s.b.enqueue(s, wanted)
	}
}

// wantsValue reports whether somebody waits for the value.
func (s *Source) wantsValue() bool {
	return s.w != nil && s.w.held > 0 && s.w.wanted && s.w.value == nil && s.fault == nil
}

// A Request is a reference to a value.
type Request struct {
	s       *Source
	release sync.Once
}

// Value returns the value of State.Version. It is false while it is not there:
// not read yet, or dropped because the values in memory were too many; it is
// then read, and changed tells when to look again. Where State.Fault says that
// there is none, none comes.
func (r *Request) Value() (*kv.Value, bool) {
	s := r.s
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.closed || s.w == nil {
		return nil, false
	}
	if s.w.value != nil {
		return s.w.value, true
	}
	s.w.wanted = true
	s.fetch()
	return nil, false
}

// Release gives the reference up. More than once does no harm.
func (r *Request) Release() {
	r.release.Do(func() {
		s := r.s
		s.b.mu.Lock()
		defer s.b.mu.Unlock()
		if s.closed || s.w == nil {
			return
		}
		if s.w.held--; s.w.held == 0 {
			s.b.values.drop(s)
			s.w.wanted = false
			s.tidy()
		}
	})
}
