package forward

import (
	"net"
	"strings"
	"sync"
	"time"
)

// strangers are those who were not let in lately. A replica with a wrong certificate comes with
// each of its requests, and is told of once in quiet.
type strangers struct {
	now func() time.Time
	mu  sync.Mutex
	by  map[string]*stranger // by host
}

type stranger struct {
	told  time.Time
	since int // then it came so often
}

const (
	// quiet is between two lines of the log about one host.
	quiet = time.Minute
	// mostStrangers bounds the hosts that are told of in quiet.
	mostStrangers = 64
	// mostCause bounds the cause in a line, in bytes: a part of it may be the stranger's words.
	mostCause = 300
)

func newStrangers(now func() time.Time) *strangers {
	return &strangers{now: now, by: make(map[string]*stranger)}
}

// came takes note of one, and returns how often it came since it was told of last, if it is to
// be told of now.
func (s *strangers) came(host string) (since int, tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if known := s.by[host]; known != nil {
		if known.since++; now.Sub(known.told) < quiet {
			return 0, false
		}
		since, known.since, known.told = known.since, 0, now
		return since, true
	}
	if len(s.by) >= mostStrangers {
		for other, known := range s.by {
			if now.Sub(known.told) >= quiet {
				delete(s.by, other)
			}
		}
	}
	if len(s.by) >= mostStrangers {
		return 0, false
	}
	s.by[host] = &stranger{told: now}
	return 1, true
}

// NotLetIn takes note of a connection that was refused because of the certificate that the other
// end presents, for the cause. It is for [secretsync/httpapi/listen.Pair]: with TLS the other end
// learns nothing but that its certificate is bad.
func (f *Forwarder) NotLetIn(peer net.Addr, cause error) {
	f.metrics.refused.Inc()
	host, _, err := net.SplitHostPort(peer.String())
	if err != nil {
		host = peer.String()
	}
	since, tell := f.strangers.came(host)
	if !tell {
		return
	}
	why := cause.Error()
	if len(why) > mostCause {
		why = strings.ToValidUTF8(why[:mostCause], "") + "…"
	}
	f.log.Warn("another replica is not let in: its certificate is refused", "peer", peer.String(), "cause", why, "refused", since)
}
