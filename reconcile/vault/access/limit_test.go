package access

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
func follow(l *Limit, q *quota, from time.Time, d time.Duration, demand int) (taken, refused int) {
	step := time.Second / time.Duration(demand)
	for now := from; now.Before(from.Add(d)); now = now.Add(step) {
		if l.Take(now) > 0 {
			continue
		}
		if q.takes(now) {
			taken++
			l.Ok(now)
		} else {
			refused++
			l.Refused(now, time.Second)
		}
	}
	return taken, refused
}

func TestALimitFindsWhatAVaultTakes(t *testing.T) {
	for _, perSecond := range []int{1, 5, 50, 500} {
		var l Limit
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
	var l Limit
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	follow(&l, &quota{perSecond: 5}, start, 30*time.Second, 100)
	if l.Rate() == 0 {
		t.Fatal("there is no limit")
	}
	follow(&l, &quota{perSecond: 1 << 30}, start.Add(30*time.Second), 30*time.Second, 100)
	if l.Rate() != 0 {
		t.Errorf("there is still a limit of %v", l.Rate())
	}
}

// Somebody else uses up the quota for a while: then the vault takes nothing of
// ours, however little we ask for.
func TestALimitOutlastsATimeInWhichNothingIsTaken(t *testing.T) {
	var l Limit
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	free, used := &quota{perSecond: 1 << 30}, &quota{}
	follow(&l, free, start, 3*time.Second, 40)
	if taken, refused := follow(&l, used, start.Add(3*time.Second), 20*time.Second, 40); taken > 0 || refused > 21 {
		t.Errorf("%d were refused in 20 s, and %d taken", refused, taken)
	}
	taken, _ := follow(&l, free, start.Add(23*time.Second), 3*time.Second, 40)
	if taken < 40 {
		t.Errorf("of 120 in the 3 s after it, %d were taken", taken)
	}
}

func TestALimitIsOfAMount(t *testing.T) {
	var l Limits
	one := l.at(mount{"https://vault", "", "a"})
	if one != l.at(mount{"https://vault", "", "a"}) || one == l.at(mount{"https://vault", "", "b"}) {
		t.Error("brokers of one mount share a limit, those of two don't")
	}
}
