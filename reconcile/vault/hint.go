package vault

import "time"

// allAgain is how often at most everything is read again because somebody else
// says so.
const allAgain = 10 * time.Second

// Hint says that the value may have changed, as somebody knows who is not trusted
// with more: it is read soon, yet not more often than Options.Least allows,
// however often it is said.
func (s *Source) Hint() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.hint(s.b.least, s.b.o.Clock.Now())
}

// HintAll is Hint for every source, kept to at most once in ten seconds, or
// in Options.Least where that is longer: what was read within that time is read at
// its end.
func (b *Broker) HintAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Clock.Now()
	b.each(func(s *Source) { s.hint(max(b.least, allAgain), now) })
}

// hint has a source read again, at most once in gap.
//
//	the source         what happens
//	waits              it is read no later than what is wanted; once is enough
//	is being read      once more, after the least pause: that read may have begun too early
//	was read just now  once more, gap after that read
//	else               now
func (s *Source) hint(gap time.Duration, now time.Time) {
	if s.closed || s.hinted {
		return
	}
	s.hinted = true
	if s.running {
		return // finish sees to it
	}
	since := time.Duration(now.UnixNano() - s.checked)
	if s.class != none || !s.known || since >= gap || since < 0 {
		s.b.enqueue(s, wanted)
		return
	}
	s.hintedAt(now.Add(gap - since))
}

// hintedAt has a source read that somebody gave a hint of, unless it is anyway.
func (s *Source) hintedAt(at time.Time) {
	if s.due == 0 {
		s.b.reads.later.add(s, at, wanted)
		s.b.poke()
	}
}
