package vault

import (
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/kv"
)

// confirmFor is how long a vault has to keep to an answer that is older than
// one seen before, until it counts. A standby catches up within that.
const confirmFor = 10 * time.Second

// learn takes in an answer of the vault about a path.
//
//	the answer is           what happens
//	as new as known         Checked moves; a fault that concerned the version stays
//	newer                   it counts
//	older than one seen     asked again at the active node, with pauses, for confirmFor; then it counts, Confirmed
//	nothing there           it counts; what was seen is kept in mind
func (b *Broker) learn(r read, o outcome, now time.Time) {
	s := r.s
	s.due = 0
	if s.w != nil {
		s.w.tries = 0
	}
	version, f := o.version, o.f
	switch {
	case f != nil && f.Reason == fault.ReasonValueTooLarge && version.IsZero():
		// The answer itself was too long, so its version is not known: until
		// another is, as metadata tell.
		version = s.version
	case version.IsZero() && !s.version.IsZero():
		w := s.demand()
		w.remember(s.version)
		w.confirming, w.confirmedTo = time.Time{}, kv.Version{}
		s.confirmed = false
	case b.older(r, version, now):
		return
	}
	if f == nil && !r.data && version == s.version && s.fault != nil && s.fault.Reason == fault.ReasonValueTooLarge {
		// The metadata can't tell that its value is too long to be read.
		f = &access.Failure{Fault: *s.fault}
	}
	isNew := version != s.version
	if isNew {
		b.values.drop(s)
	}
	asked := s.w != nil && s.w.held > 0 && s.w.value == nil
	if o.value != nil && f == nil && (asked || isNew) {
		b.values.keep(s, o.value, now)
		s.tell()
	}
	s.stands(r, version, f, now)
}

// remember keeps in mind a version that was seen.
func (w *demand) remember(v kv.Version) {
	if w.seen.IsZero() || w.seen.Before(v) {
		w.seen = v
	}
}

// older handles an answer that is older than a version seen before. It reports
// whether the answer is not to count (yet).
func (b *Broker) older(r read, version kv.Version, now time.Time) bool {
	s := r.s
	if version.IsZero() {
		return false
	}
	newest := s.version
	if w := s.w; w != nil && !w.seen.IsZero() && (newest.IsZero() || newest.Before(w.seen)) {
		newest = w.seen
	}
	if s.confirmed {
		newest = s.version
	}
	if newest.IsZero() || !version.Before(newest) {
		if w := s.w; w != nil && !s.confirmed {
			if !w.confirming.IsZero() {
				s.tell()
			}
			w.seen, w.confirming = kv.Version{}, time.Time{}
		}
		if s.confirmed && version != s.version {
			s.confirmed = false
			s.w.confirmedTo = kv.Version{}
		}
		return false
	}
	w := s.demand()
	w.remember(newest)
	if w.confirming.IsZero() {
		w.confirming, w.pauses = now, 0
		b.log.Warn("vault answers with an older version than before; asking again", "path", s.path, "version", version.Number, "seen", w.seen.Number)
	}
	if now.Sub(w.confirming) < confirmFor || !r.active {
		pause := min(retryFirst<<min(w.pauses, 10), 2*time.Second)
		if w.pauses++; w.pauses == 1 {
			pause = 0 // at once, but at the active node
		}
		b.reads.later.add(s, now.Add(pause), wanted)
		b.poke()
		return true
	}
	b.log.Warn("vault keeps to an older version; it counts", "path", s.path, "version", version.Number, "seen", w.seen.Number)
	w.confirmedTo, w.seen, w.confirming = w.seen, kv.Version{}, time.Time{}
	s.confirmed = true
	s.tell()
	return false
}

// stands sets what is known of a source: a version, or why there is none to
// copy. A denial and a failure leave the version as it was.
func (s *Source) stands(r read, version kv.Version, f *access.Failure, now time.Time) {
	keeps := f != nil && f.Kind != access.Answered
	if f != nil && f.Kind == access.Answered && f.Reason == fault.ReasonVaultForbidden {
		keeps = true
	}
	if keeps {
		version = s.version
	}
	var why *fault.Fault
	if f != nil {
		copied := f.Fault
		why = &copied
	}
	known := s.known || f == nil || f.Kind != access.Doubtful
	if known != s.known || version != s.version || !same(why, s.fault) {
		s.stood = s.checked
		s.known, s.version, s.fault = known, version, why
		s.tell()
	}
	if f == nil || f.Kind != access.Doubtful {
		s.checked = now.UnixNano()
	}
	if w := s.w; w != nil && r.refresh != w.done {
		w.done = r.refresh
		s.tell()
	}
}

func same(a, b *fault.Fault) bool {
	return a == b || a != nil && b != nil && a.Reason == b.Reason && a.Message == b.Message
}

// tell has the callback made once the broker's mutex is given up.
func (s *Source) tell() {
	if n := len(s.b.news); n == 0 || s.b.news[n-1] != s {
		s.b.news = append(s.b.news, s)
	}
}
