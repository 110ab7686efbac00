package limit

import (
	clocktesting "k8s.io/utils/clock/testing"
	"net/netip"
	"testing"
	"time"
)

func newClock() *clocktesting.FakePassiveClock {
	return clocktesting.NewFakePassiveClock(time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC))
}

var someAddr = netip.MustParseAddr("192.0.2.7")

func taken(c *Addresses, addr netip.Addr, limits *Limits) time.Duration {
	wait, _ := c.Take(addr, limits, c.now())
	return wait
}

func blocked(c *Addresses, addr netip.Addr, limits *Limits) time.Duration {
	_, blocked := c.Take(addr, limits, c.now())
	return blocked
}

func TestAnAddressGetsItsBurstAndThenItsRate(t *testing.T) {
	clock := newClock()
	c := NewAddresses(clock.Now)
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
	clock.SetTime(clock.Now().Add(500 * time.Millisecond))
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
	clock := newClock()
	c := NewAddresses(clock.Now)
	limits := &Limits{Rate: -1, FreeFailures: 2}
	for i, want := range []time.Duration{0, 0, 1, 2, 4, 8, 16, 32, 60, 60} {
		c.Failed(someAddr, limits)
		if got := blocked(c, someAddr, limits); got != want*time.Second {
			t.Fatalf("after failure %d the wait is %s; want %d s", i+1, got, want)
		}
	}
	clock.SetTime(clock.Now().Add(failuresKept + time.Second))
	c.Failed(someAddr, limits)
	if got := blocked(c, someAddr, limits); got != 0 {
		t.Errorf("old failures still count: wait %s", got)
	}
	for range 10_000 {
		c.Failed(someAddr, limits)
	}
	if got := blocked(c, someAddr, limits); got != maxPenalty {
		t.Errorf("after very many failures the wait is %s; want %s", got, maxPenalty)
	}
}

func TestTheTableOfAddressesIsBounded(t *testing.T) {
	c := NewAddresses(newClock().Now)
	a := netip.MustParseAddr("10.0.0.0")
	for range maxAddresses + 1000 {
		taken(c, a, &Limits{})
		a = a.Next()
	}
	if len(c.byAddr) != maxAddresses || c.recent.Len() != maxAddresses {
		t.Errorf("%d addresses in the table and %d in order; want %d", len(c.byAddr), c.recent.Len(), maxAddresses)
	}
	if _, ok := c.byAddr[netip.MustParseAddr("10.0.0.0")]; ok {
		t.Error("the oldest address was kept")
	}
}
