package vault

import (
	"testing"
	"time"
)

// quota takes so many requests a second, as a vault with a quota does.
type quota struct {
	perSecond int
	window    time.Time
	taken     int
}

func (q *quota) takes(now time.Time) bool {
	if now.Sub(q.window) >= time.Second {
		q.window, q.taken = now.Truncate(time.Second), 0
	}
	q.taken++
	return q.taken <= q.perSecond
}

// follow asks as often as the limit lets it, at most demand a second.
func follow(l *limit, q *quota, from time.Time, d time.Duration, demand int) (taken, refused int) {
	step := time.Second / time.Duration(demand)
	for now := from; now.Before(from.Add(d)); now = now.Add(step) {
		if l.take(now) > 0 {
			continue
		}
		if q.takes(now) {
			taken++
			l.ok(now)
		} else {
			refused++
			l.refused(now, time.Second)
		}
	}
	return taken, refused
}

func TestALimitFindsWhatAVaultTakes(t *testing.T) {
	for _, perSecond := range []int{1, 5, 50, 500} {
		var l limit
		q := &quota{perSecond: perSecond}
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		follow(&l, q, start, 10*time.Second, 2000)
		taken, refused := follow(&l, q, start.Add(10*time.Second), 5*time.Minute, 2000)
		most := perSecond * 300
		if taken < most/2 || refused > taken/5+60 {
			t.Errorf("of a quota of %d a second %d of %d were used, with %d refused", perSecond, taken, most, refused)
		}
	}
}

func TestALimitGoesWhenTheQuotaDoes(t *testing.T) {
	var l limit
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	follow(&l, &quota{perSecond: 5}, start, 30*time.Second, 100)
	if l.rate() == 0 {
		t.Fatal("there is no limit")
	}
	follow(&l, &quota{perSecond: 1 << 30}, start.Add(30*time.Second), 30*time.Second, 100)
	if l.rate() != 0 {
		t.Errorf("there is still a limit of %v", l.rate())
	}
}

func TestALimitIsOfAMount(t *testing.T) {
	var l Limits
	one := l.at(mount{"https://vault", "", "a"})
	if one != l.at(mount{"https://vault", "", "a"}) || one == l.at(mount{"https://vault", "", "b"}) {
		t.Error("brokers of one mount share a limit, those of two don't")
	}
}
