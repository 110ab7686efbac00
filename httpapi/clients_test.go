package httpapi

import (
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// hand is a clock that a test moves.
type hand struct{ at time.Time }

func newHand() *hand                            { return &hand{time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)} }
func (h *hand) Now() time.Time                  { return h.at }
func (h *hand) Since(t time.Time) time.Duration { return h.at.Sub(t) }
func (h *hand) advance(d time.Duration)         { h.at = h.at.Add(d) }

var someAddr = netip.MustParseAddr("192.0.2.7")

func taken(c *clients, addr netip.Addr, limits *Limits) time.Duration {
	wait, _ := c.take(addr, limits, c.now())
	return wait
}

func blocked(c *clients, addr netip.Addr, limits *Limits) time.Duration {
	_, blocked := c.take(addr, limits, c.now())
	return blocked
}

func TestAnAddressGetsItsBurstAndThenItsRate(t *testing.T) {
	clock := newHand()
	c := newClients(clock.Now)
	limits := &Limits{Rate: 2, Burst: 3}
	for i := range 3 {
		if wait := taken(c, someAddr, limits); wait != 0 {
			t.Fatalf("request %d of the burst has to wait %s", i, wait)
		}
	}
	if wait := taken(c, someAddr, limits); wait != 500*time.Millisecond {
		t.Fatalf("after the burst the wait is %s; want 500ms", wait)
	}
	if wait := taken(c, netip.MustParseAddr("192.0.2.8"), limits); wait != 0 {
		t.Error("another address has to wait as well")
	}
	clock.advance(500 * time.Millisecond)
	if wait := taken(c, someAddr, limits); wait != 0 {
		t.Errorf("having waited as told, the wait is %s", wait)
	}
	if wait := taken(c, someAddr, &Limits{Rate: 10, Burst: 3}); wait != 100*time.Millisecond {
		t.Errorf("a new limit gives a wait of %s; want 100ms", wait)
	}
	for range 1000 {
		if taken(c, someAddr, &Limits{Rate: -1}) != 0 {
			t.Fatal("no limit, yet a wait")
		}
	}
}

func TestFailuresMakeAnAddressWaitLongerEachTime(t *testing.T) {
	clock := newHand()
	c := newClients(clock.Now)
	limits := &Limits{Rate: -1, FreeFailures: 2}
	for i, want := range []time.Duration{0, 0, 1, 2, 4, 8, 16, 32, 60, 60} {
		c.failed(someAddr, limits)
		if got := blocked(c, someAddr, limits); got != want*time.Second {
			t.Fatalf("after failure %d the wait is %s; want %d s", i+1, got, want)
		}
	}
	clock.advance(failuresKept + time.Second)
	c.failed(someAddr, limits)
	if got := blocked(c, someAddr, limits); got != 0 {
		t.Errorf("old failures still count: wait %s", got)
	}
	for range 10_000 {
		c.failed(someAddr, limits)
	}
	if got := blocked(c, someAddr, limits); got != maxPenalty {
		t.Errorf("after very many failures the wait is %s; want %s", got, maxPenalty)
	}
}

func TestTheTableOfAddressesIsBounded(t *testing.T) {
	c := newClients(newHand().Now)
	a := netip.MustParseAddr("10.0.0.0")
	for range maxClients + 1000 {
		taken(c, a, &Limits{})
		a = a.Next()
	}
	if len(c.byAddr) != maxClients || c.recent.Len() != maxClients {
		t.Errorf("%d addresses in the table and %d in order; want %d", len(c.byAddr), c.recent.Len(), maxClients)
	}
	if _, ok := c.byAddr[netip.MustParseAddr("10.0.0.0")]; ok {
		t.Error("the oldest address was kept")
	}
}

func TestRemoteAddr(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		remote    string
		forwarded []string
		trusted   []netip.Prefix
		want      string
	}{
		"a connection counts by its address":                 {"192.0.2.1:99", nil, nil, "192.0.2.1"},
		"nobody is believed who is not trusted":              {"192.0.2.1:99", []string{"198.51.100.1"}, proxies, "192.0.2.1"},
		"a trusted proxy is believed":                        {"10.1.1.1:99", []string{"198.51.100.1"}, proxies, "198.51.100.1"},
		"only the last hop that is no proxy counts":          {"10.1.1.1:99", []string{"1.1.1.1, 198.51.100.1, 10.2.2.2"}, proxies, "198.51.100.1"},
		"several header fields are one list":                 {"10.1.1.1:99", []string{"1.1.1.1", "198.51.100.1"}, proxies, "198.51.100.1"},
		"rubbish from a proxy leaves the proxy":              {"10.1.1.1:99", []string{"unknown"}, proxies, "10.1.1.1"},
		"a /64 of IPv6 is one address":                       {"[2001:db8:1:2:3:4:5:6]:99", nil, nil, "2001:db8:1:2::"},
		"an IPv4 address in IPv6 clothes is an IPv4 address": {"[::ffff:192.0.2.1]:99", nil, nil, "192.0.2.1"},
		"no proxies are trusted where none are configured":   {"10.1.1.1:99", []string{"198.51.100.1"}, nil, "10.1.1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
			if got := remoteAddr(r, c.trusted); got.String() != c.want {
				t.Errorf("got %s; want %s", got, c.want)
			}
		})
	}
}
