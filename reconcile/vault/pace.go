package vault

import (
	"container/heap"
	"math"
	"time"
)

// DefaultLeast is how often a path may be polled at most, where the
// configuration does not say.
const DefaultLeast = time.Second

// longest is how long an interval may be: a definition may say centuries, which no sum
// with a time can hold.
const longest = 10 * 365 * 24 * time.Hour

// Every says how often the source is polled, by those who use it: the shortest
// interval that any of them asks for, and whether all of them ask for one. Where
// some don't, the tenant's interval counts as theirs. Zero is that alone, as for
// a source of which nobody said anything. It is never polled more often than
// Options.Least allows.
func (s *Source) Every(shortest time.Duration, all bool) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if shortest = min(shortest, longest); shortest <= 0 {
		shortest, all = 0, false
	}
	if s.closed || s.every == shortest && s.alone == all {
		return
	}
	before := s.pace()
	s.every, s.alone = shortest, all
	if s.pace() != before {
		s.b.unplace(s)
		s.b.place(s)
		s.b.poke()
	}
}

// Interval is how often the source is polled.
func (s *Source) Interval() time.Duration {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.pace()
}

// pace is the interval at which the source is polled.
func (s *Source) pace() time.Duration {
	if s.every == 0 {
		return s.b.interval
	}
	every := max(s.every, s.b.least)
	if s.alone {
		return every
	}
	return min(every, s.b.interval)
}

// place puts a source where it is polled from: into the wheel of all that keep to
// the tenant's interval, or among those with a pace of their own.
func (b *Broker) place(s *Source) {
	if pace := s.pace(); pace != b.interval {
		b.paces.add(s, pace, b.o.Clock.Now())
		return
	}
	b.polls.add(s)
}

func (b *Broker) unplace(s *Source) {
	if s.slot == ownPace {
		b.paces.remove(s)
		return
	}
	b.polls.remove(s)
}

// replace puts every source where it belongs by an interval that changed.
func (b *Broker) replace(now time.Time) {
	old := b.paces.heap
	b.paces.heap = nil
	b.polls.reset(b.interval, now, func(s *Source) bool { return s.pace() == b.interval }, b.place)
	for _, p := range old {
		b.place(p.s)
	}
}

// each calls f with every source.
func (b *Broker) each(f func(*Source)) {
	b.polls.each(f)
	for _, p := range b.paces.heap {
		f(p.s)
	}
}

// ownPace is in the place of a wheel's slot for a source that is among the paces.
const ownPace = -2

// together is how many sources are polled at a time: what wakes us costs more than
// one more question that is put over a connection that is in use.
const together = 8

// paces are the sources that are polled at an interval of their own: few beside
// those in the wheel, and of whatever intervals. Each keeps its phase. They are in
// small groups, whose phases are spread evenly over the interval.
type paces struct {
	heap   paceHeap
	placed uint64
}

// paced is one of them: Source.position is where it stands in the heap.
type paced struct {
	at    int64 // when it is polled next; nanoseconds of Unix time
	every int64
	s     *Source
}

// add begins to poll a source, at once at the soonest and within its interval at
// the latest. Multiples of the golden ratio fill an interval evenly, as they do the
// wheel.
func (p *paces) add(s *Source, every time.Duration, now time.Time) {
	p.placed++
	_, phase := math.Modf(float64(p.placed/together) * (math.Phi - 1))
	s.slot = ownPace
	at := now.UnixNano()
	at += int64(phase*float64(every)) - at%int64(every) // whenever it is added, as the others of its group
	if at < now.UnixNano() {
		at += int64(every)
	}
	heap.Push(&p.heap, paced{at: at, every: int64(every), s: s})
}

func (p *paces) remove(s *Source) {
	heap.Remove(&p.heap, int(s.position))
	s.slot = -1
}

// turn handles those whose time has come, each at most once, and returns when
// the next one is due.
func (p *paces) turn(now time.Time, due func(*Source)) time.Time {
	for len(p.heap) > 0 {
		first := &p.heap[0]
		late := now.UnixNano() - first.at
		if late < 0 {
			return time.Unix(0, first.at)
		}
		s := first.s
		first.at += (late/first.every + 1) * first.every
		heap.Fix(&p.heap, 0)
		due(s)
	}
	return never(now)
}

type paceHeap []paced

func (h paceHeap) Len() int           { return len(h) }
func (h paceHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h paceHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].s.position, h[j].s.position = int32(i), int32(j)
}

func (h *paceHeap) Push(x any) {
	p := x.(paced)
	p.s.position = int32(len(*h))
	*h = append(*h, p)
}

func (h *paceHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = paced{}
	*h = old[:len(old)-1]
	return last
}
