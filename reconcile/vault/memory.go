package vault

import (
	"time"

	"secretsync/reconcile/vault/kv"
)

// values are the values in memory: those that a request holds, and those that a
// read found new, for the request that is likely to follow. Nothing but the demand
// of its source leads to a value, so that it is gone as soon as that lets go of it.
type values struct {
	bytes     int
	count     uint64 // of all that were ever kept
	held      shelf
	unclaimed shelf
}

// entry is a value in the order in which they came.
type entry struct {
	s      *Source
	number uint64 // demand.number, while the value is there
	until  time.Time
}

func (e entry) valid() bool { return e.s.w != nil && e.s.w.value != nil && e.s.w.number == e.number }

// shelf lists values in the order in which they came. Those that are gone stay in it
// until it has grown to twice the number of the others.
type shelf struct {
	fifo[entry]
	valid int // when they were counted last
}

func (l *shelf) put(e entry) {
	if l.len() >= 2*max(l.valid, 32) {
		l.retain(entry.valid)
		l.valid = l.len()
	}
	l.push(e)
}

const (
	valuesMost = 32 << 20
	unclaimed  = 5 * time.Second
)

// keep holds a value in memory, and drops others if they are too many: first
// those that nobody asked for, then those that have been there for longest.
func (v *values) keep(s *Source, value *kv.Value, now time.Time) {
	v.drop(s)
	w := s.demand()
	v.count++
	w.value, w.number, w.wanted = value, v.count, false
	v.bytes += value.Size
	list := &v.held
	if w.held == 0 {
		list = &v.unclaimed
	}
	list.put(entry{s, v.count, now.Add(unclaimed)})
	for v.bytes > valuesMost && v.unclaimed.len() > 0 {
		if e := v.unclaimed.pop(); e.valid() {
			v.drop(e.s)
		}
	}
	for v.bytes > valuesMost && v.held.len() > 1 {
		if e := v.held.pop(); e.valid() && e.s != s {
			v.drop(e.s)
		}
	}
	for v.held.len() > 0 && !v.held.peek().valid() {
		v.held.pop()
	}
}

// drop lets go of a source's value.
func (v *values) drop(s *Source) {
	if s.w != nil && s.w.value != nil {
		v.bytes -= s.w.value.Size
		s.w.value = nil
		s.w.wanted = s.w.held > 0 && s.w.wanted
	}
}

// expire drops values that nobody asked for in time.
func (v *values) expire(now time.Time) {
	for v.unclaimed.len() > 0 && !v.unclaimed.peek().until.After(now) {
		switch e := v.unclaimed.pop(); {
		case !e.valid():
		case e.s.w.held > 0:
			v.held.put(e) // claimed meanwhile
		default:
			v.drop(e.s)
			e.s.tidy()
		}
	}
}

// first returns when the first of them is dropped, at most by.
func (v *values) first(by time.Time) time.Time {
	if v.unclaimed.len() > 0 && v.unclaimed.peek().until.Before(by) {
		return v.unclaimed.peek().until
	}
	return by
}
