package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ways are what is known of the ways to other replicas. While a connection takes long to be
// made, one request alone waits for it; who can't be connected to within the time there is
// for that is not tried again for a moment, and then by one request alone, till one gets
// there:
//
//	state    a connection is                               becomes
//	open     made                                          probed, if one takes long and no other was made
//	                                                       meanwhile; the oldest is the one that probes
//	probed   made by the one that probes; to others, to    open, or resting, if that takes too long
//	         those who wait already too, it is not to be
//	         had, which is said at once
//	resting  not to be had, which is said at once          probed, after rest, by the next one
//
// So a replica whose machine is gone costs one request in a while its time, not each. One
// that refuses connections does so at once, and is asked each time: it may be back.
type ways struct {
	now  func() time.Time
	long time.Duration // that a connection takes before others are not made to wait for theirs
	mu   sync.Mutex
	to   map[string]*way // by address; those that are open, speak as we do and are not dialed are not there
}

type way struct {
	failed error     // why there is no connection; nil: it is open
	again  time.Time // it is probed; zero: it is being probed
	old    time.Time // till then it is taken for a replica that does not know package hop
	dials  []*dial   // under way and begun since one was made last, the oldest first
}

// dial is a connection that is being made.
type dial struct {
	giveUp context.CancelCauseFunc
	long   *time.Timer
}

// errHanging is why nobody else waits for a connection.
var errHanging = errors.New("as was seen a moment ago: it has not answered another request for a connection yet")

const (
	// rest is how long a way is not tried.
	rest = time.Second
	// longPart is what part of the time that there is for a connection is long: most are made
	// within milliseconds.
	longPart = 3
	// oldFor is how long a replica is taken for an older one. An address may be used again.
	oldFor = time.Minute
	// mostWays bounds what is remembered.
	mostWays = 1024
)

func newWays(now func() time.Time, patience time.Duration) *ways {
	return &ways{now: now, long: patience / longPart, to: make(map[string]*way)}
}

// enter is asked before a connection is made, and fails if there is none to be had. After
// it [ways.leave] says what became of it. It is given up, with errHanging, when another one
// hangs.
func (s *ways) enter(address string, giveUp context.CancelCauseFunc) (*dial, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.make(address)
	switch {
	case w.failed == nil:
	case errors.Is(w.failed, errHanging):
		return nil, w.failed
	case w.again.IsZero() || s.now().Before(w.again):
		return nil, fmt.Errorf("as was seen a moment ago: %w", w.failed)
	default:
		w.again = time.Time{}
	}
	d := &dial{giveUp: giveUp}
	d.long = time.AfterFunc(s.long, func() { s.hangs(address, d) })
	w.dials = append(w.dials, d)
	return d, nil
}

// hangs notes that a connection takes long. If it is the oldest, and none was made since it
// began, it is the one that probes from here on.
func (s *ways) hangs(address string, d *dial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.to[address]
	if w == nil || len(w.dials) == 0 || w.dials[0] != d {
		return
	}
	if w.failed == nil {
		w.failed, w.again = errHanging, time.Time{}
	}
	for _, other := range w.dials[1:] {
		other.giveUp(errHanging)
	}
	w.dials = w.dials[:1]
}

// leave says what became of a connection: it was made, or failed, or took too long.
func (s *ways) leave(address string, d *dial, tooLong bool, err error) {
	d.long.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.to[address]
	if w == nil {
		return // too many were remembered
	}
	counts := slices.Contains(w.dials, d) // not where another was made since it began
	w.dials = slices.DeleteFunc(w.dials, func(other *dial) bool { return other == d })
	switch {
	case err == nil:
		w.failed, w.dials = nil, nil // that others take long is no sign any more
	case errors.Is(err, errHanging): // another one probes
	case tooLong && !counts: // the holder can be reached
	case tooLong:
		w.failed, w.again = err, s.now().Add(rest)
	default: // it was refused, or the client of who probed went away: others may try
		w.failed = nil
	}
	if w.failed == nil && len(w.dials) == 0 && !s.now().Before(w.old) {
		delete(s.to, address)
	}
}

// old reports whether a replica is known not to know package hop.
func (s *ways) old(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.to[address]
	return w != nil && s.now().Before(w.old)
}

func (s *ways) isOld(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.make(address).old = s.now().Add(oldFor)
}

func (s *ways) make(address string) *way {
	if s.to[address] == nil {
		if len(s.to) >= mostWays {
			clear(s.to) // addresses of pods that are long gone
		}
		s.to[address] = new(way)
	}
	return s.to[address]
}
