package cleanup

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Ledger is what is remembered of the clean-up of one tenant. The zero value is
// ready. It is not safe for use by several goroutines.
type Ledger struct {
	gone     map[Copy]time.Time // what was decided to go by itself, and when last
	released map[Copy]bool      // what may go whatever the brake says
}

// Decision is what becomes of the copies that are to go.
type Decision struct {
	Delete []Copy // these go now
	Held   []Copy // these don't; all or none of those that nobody released
	ID     string // of the list Held; empty where it is
	Why    string // why they are held, in words
	// Again is after how long the brake may let go of them by itself; zero: not.
	Again time.Duration
}

// Decide says which copies go. pending are all that are to go, and standing is how
// many copies the tenant has, with those. It counts on being heeded: what it says
// goes, counts as gone.
func (l *Ledger) Decide(now time.Time, b Brake, pending []Copy, standing int) Decision {
	maps.DeleteFunc(l.gone, func(_ Copy, at time.Time) bool { return now.Sub(at) >= Window })
	// What is not to go any more was released for nothing.
	maps.DeleteFunc(l.released, func(c Copy, _ bool) bool { return !slices.Contains(pending, c) })
	var d Decision
	var free []Copy
	going, all := len(l.gone), standing+len(l.gone)
	for _, c := range pending {
		if l.released[c] {
			d.Delete = append(d.Delete, c)
			continue
		}
		free = append(free, c)
		if _, counted := l.gone[c]; counted { // it was to go, and did not: it stands yet
			all--
		} else {
			going++
		}
	}
	if d.Why = b.Holds(going, all); d.Why != "" && len(free) > 0 {
		d.Held, d.ID = free, ID(free)
		d.Again = l.again(now)
		return d
	}
	d.Why = ""
	for _, c := range free {
		if l.gone == nil {
			l.gone = make(map[Copy]time.Time)
		}
		l.gone[c] = now
	}
	d.Delete = append(d.Delete, free...)
	return d
}

// again is after how long less is gone than now.
func (l *Ledger) again(now time.Time) (after time.Duration) {
	for _, at := range l.gone {
		if left := at.Add(Window).Sub(now); after == 0 || left < after {
			after = left
		}
	}
	return after
}

// Release lets copies go that were held, whatever the brake says. They don't count
// for it then: somebody looked at them.
func (l *Ledger) Release(held []Copy) {
	if l.released == nil {
		l.released = make(map[Copy]bool)
	}
	for _, c := range held {
		l.released[c] = true
	}
}

// ID names a list of copies: just those, in whatever order.
func ID(copies []Copy) string {
	sorted := slices.SortedFunc(slices.Values(copies), func(a, b Copy) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID), cmp.Compare(a.Share, b.Share), cmp.Compare(a.Since, b.Since))
	})
	h := sha256.New()
	for _, c := range sorted {
		fmt.Fprintf(h, "%s/%s/%s/%s@%s", c.Cluster, c.Namespace, c.Name, c.UID, c.Since)
		if c.Share != "" {
			fmt.Fprintf(h, "#%s", c.Share)
		}
		fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
