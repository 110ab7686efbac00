package decide

import (
	"fmt"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
)

// Record is what is remembered of a place between two passes, as far as decisions go
// by it. It is written by the pass alone, of which there is never more than one at a
// time, and read for statuses too. What can be looked at is not in it. Everything in it
// may be forgotten at any time at the cost of a request that need not have been; the
// zero Record remembers nothing.
//
// What is done about a place writes it:
//
//	what happened                          what is remembered from then on
//	Note: the copy is right                that copy; nothing that failed or was sent before
//	Note: it was, and is not any more      one more blow of a fight
//	Looked: the one Secret was read        which one, and when
//	Misfits: no copy can be made           of which values, and why
//	Wrote: it was written                  what was sent, and the copy, if it came out as sent
//	Altered: admission would change it     what was sent, and when it was tried
//	Stands: admission would not any more   not what was sent, so that it is written
//	Failed: the cluster refused            at what, why, how often in a row, and until when to wait
//	Panicked: a pass ended in a panic      that alone, and until when to wait
//	Reopen: one who claims the place left  not what was refused or looked at for others
type Record struct {
	good    *copies.Copy // the copy as it was last found right; nil: not since it was last found wrong
	attempt *attempt     // why the last attempt did not do; nil: it did
	fight   *fight       // that somebody undoes what we write
	look    *look        // that a Secret which is not ours was looked at
	sent    *sent        // what was written last, while it is not known to stand as it was sent
	unfit   *unfit       // why no copy can be made of the values as they were last read
}

// attempt is how something that was tried in the cluster failed. It stands for
// as long as what was tried would be the same.
type attempt struct {
	owner    copies.Owner
	want     copies.Stamp
	version  string // the resource version of what stood there
	there    mirror.NamespaceState
	within   string // the UID of the namespace: what one that ended refused, one that is made anew may take
	fault    *fault.Fault
	until    time.Time // not again before that
	first    time.Time // when it failed first, of those in a row
	failures int
	panicked bool // it is not known what was tried
}

// about reports whether the attempt was at what is to be done now.
func (a *attempt) about(in *Input, want copies.Stamp) bool {
	return a != nil && (a.panicked || a.owner == in.Owner && a.want == want && a.version == versionOf(in.Seen.Copy) && a.there == in.Seen.Namespace && a.within == in.Seen.NamespaceUID)
}

func versionOf(c *copies.Copy) string {
	if c == nil {
		return ""
	}
	return c.ResourceVersion
}

// look is that a Secret which is not ours was read by itself.
type look struct {
	version string
	at      time.Time
}

// saw reports whether it is this Secret that was read, as far as is known.
func (l *look) saw(c *copies.Copy) bool { return l != nil && l.version == c.ResourceVersion }

// of reports whether it is this Secret that was read, and recently enough.
func (l *look) of(in *Input, c *copies.Copy) bool {
	return l.saw(c) && (c.Watched || l.at.Add(in.Interval).After(in.Now))
}

// sent is what was written.
type sent struct {
	owner   copies.Owner
	stamp   copies.Stamp // its recipe covers what the copy wears
	kind    string
	triedAt time.Time
}

func (s *sent) equals(o copies.Owner, want copies.Stamp, kind string) bool {
	return s != nil && s.owner == o && s.stamp == want && s.kind == kind
}

// tried is when it was last tried, in earnest or not.
func (s *sent) tried() time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.triedAt
}

// unfit is that values make no copy: whatever they are asked for, until one of them
// or the definition changes.
type unfit struct {
	want  copies.Stamp
	fault *fault.Fault
}

// stood reports whether the copy was right, and would be still if nobody had
// touched it.
func (r *Record) stood(in *Input) bool {
	if r.good == nil || r.good.Owner != in.Owner || r.good.Path != in.Path || r.good.Recipe != in.Recipe || r.good.Type != kindOf(in.Type) {
		return false
	}
	return !in.Source.Known || r.good.Stamp == in.stamp()
}

// Note brings the record up to what was seen and decided, before anything is done. It
// reports whether that changes what is to be done.
func (r *Record) Note(in *Input, d *Decision) bool {
	switch {
	case d.Drift:
		r.fight = r.fight.disturbed(in.Now, r.good.Stamp, in.Seen.Copy)
		r.good = nil
		return true
	case d.Right:
		r.good, r.attempt, r.look, r.sent, r.unfit = in.Seen.Copy, nil, nil, nil, nil
		if f := r.fight; f != nil {
			if r.fight = f.settled(in.Now); f.over().Before(in.Now) && in.Now.Sub(f.last) > fightMemory {
				r.fight = nil
			}
			return r.fight != f
		}
	}
	return false
}

// Looked notes that the one Secret in the place was read by itself; nil: there is none.
func (r *Record) Looked(c *copies.Copy, now time.Time) {
	r.look = &look{version: versionOf(c), at: now}
}

// Misfits notes that no copy can be made of the values.
func (r *Record) Misfits(want copies.Stamp, f *fault.Fault) { r.unfit = &unfit{want, f} }

// Wrote notes that the copy was written, and what the cluster says it is.
func (r *Record) Wrote(in *Input, want copies.Stamp, c *copies.Copy, now time.Time) {
	r.attempt, r.look = nil, nil
	r.sent = in.sent(want, now)
	r.good = nil
	if c.Altered == nil {
		r.good = c
	}
}

// Altered notes that admission would make something else of the copy still.
func (r *Record) Altered(in *Input, want copies.Stamp, now time.Time) { r.sent = in.sent(want, now) }

// Stands notes that a write would stand as it is sent.
func (r *Record) Stands() { r.sent = nil }

func (in *Input) sent(want copies.Stamp, now time.Time) *sent {
	return &sent{owner: in.Owner, stamp: want, kind: in.Type, triedAt: now}
}

// Backoff is how long to wait after so many failures in a row, and at most so long.
type Backoff func(failures int, most time.Duration) time.Duration

// Failed notes that an attempt at the copy failed, and returns after how long the next
// may be made. in is what the attempt was at; without a fault the Secret was another
// than was thought, and in shows the one that stands there.
func (r *Record) Failed(in *Input, want copies.Stamp, f *fault.Fault, backoff Backoff, now time.Time) time.Duration {
	a := &attempt{owner: in.Owner, want: want, version: versionOf(in.Seen.Copy), there: in.Seen.Namespace, within: in.Seen.NamespaceUID, fault: f, first: now, failures: 1}
	if old := r.attempt; old != nil && old.owner == a.owner && old.want == a.want {
		a.first, a.failures = old.first, old.failures+1
	}
	again := in.Interval
	switch {
	case f == nil: // known to be passing: at once, the first times
		a.fault = fault.Queued("it was changed while it was to be written; it is looked at again")
		if again = 0; a.failures > 3 {
			again = backoff(a.failures-3, in.Interval)
		}
	case f.Again:
		again = max(f.After, backoff(a.failures, in.Interval))
	}
	if long := now.Sub(a.first); long > tellAfter && f != nil {
		told := *f
		told.Message += fmt.Sprintf("; so it is since %s", a.first.UTC().Format(time.RFC3339))
		a.fault = &told
	}
	a.until = now.Add(again)
	r.attempt = a
	return again
}

const (
	tellAfter  = time.Minute // a failure that lasts says since when
	panicPause = time.Second // after the first panic
)

// Panicked forgets all but that the pass panicked, which what was remembered may have
// been the cause of, and returns after how long the next may be made.
func (r *Record) Panicked(f *fault.Fault, now time.Time) time.Duration {
	a := &attempt{panicked: true, failures: 1, first: now, fault: f}
	if old := r.attempt; old != nil && old.panicked {
		a.failures = old.failures + 1
	}
	pause := panicPause << min(a.failures-1, 6)
	a.until = now.Add(pause)
	*r = Record{attempt: a}
	return pause
}

// Reopen forgets what was refused to those who claim the place, and what was looked at
// for them: one of them has left.
func (r *Record) Reopen() { r.attempt, r.look = nil, nil }
