package vault

import (
	"math"
	"math/rand/v2"
	"time"
)

// wheel holds the sources of a broker that are polled once in the tenant's
// interval, each in a slot of it, so that their polls are spread evenly over it
// with one timer for all. A source keeps its slot; the wheel is the list of these
// sources as well. Those with an interval of their own are among the paces.
//
// It has few slots as long as there are few sources, since there may be thousands of
// wheels, and twice as many each time that they get crowded.
type wheel struct {
	slots   [][]*Source
	most    int // slots
	held    int // sources
	quantum time.Duration
	begin   time.Time // when slot 0 was due in the first round
	done    int64     // slots since begin that were handled
	placed  uint64
	offset  float64
}

const (
	// finest is the shortest time between two slots.
	finest = 5 * time.Millisecond
	// fewest is how many slots there are at first, mostSlots how many at last.
	fewest    = 8
	mostSlots = 1024
)

// reset gives the wheel another interval. The sources that belong stay in it, the
// others are handed out.
func (w *wheel) reset(interval time.Duration, now time.Time, belongs func(*Source) bool, out func(*Source)) {
	old := w.slots
	most := max(1, min(mostSlots, int(interval/finest)))
	n := min(fewest, most)
	*w = wheel{slots: make([][]*Source, n), most: most, quantum: max(interval/time.Duration(n), 1), offset: rand.Float64()}
	// Wheels that begin at the same moment don't turn at the same moments.
	w.begin = now.Add(-time.Duration(rand.Float64() * float64(w.quantum)))
	for _, slot := range old {
		for _, s := range slot {
			if belongs(s) {
				w.add(s)
			} else {
				out(s)
			}
		}
	}
}

// add puts a source into a slot. Multiples of the golden ratio fill the circle
// evenly, however many there are.
func (w *wheel) add(s *Source) {
	if w.held >= len(w.slots) && 2*len(w.slots) <= w.most {
		w.double()
	}
	w.held++
	w.placed++
	_, at := math.Modf(float64(w.placed)*(math.Phi-1) + w.offset)
	w.put(s, int(at*float64(len(w.slots))))
}

// double makes two slots of each, and spreads what was in it over both: a source is
// due when it was or, once, a little earlier.
func (w *wheel) double() {
	n := int64(len(w.slots))
	w.begin = w.begin.Add(time.Duration(w.done/n*n) * w.quantum)
	w.done = 2 * (w.done % n)
	w.quantum = max(w.quantum/2, 1)
	old := w.slots
	w.slots = make([][]*Source, 2*n)
	later := 0
	for i, slot := range old {
		for _, s := range slot {
			w.put(s, 2*i+later)
			later = 1 - later
		}
	}
}

func (w *wheel) put(s *Source, slot int) {
	s.slot, s.position = int32(slot), int32(len(w.slots[slot]))
	w.slots[slot] = append(w.slots[slot], s)
}

func (w *wheel) remove(s *Source) {
	w.held--
	slot := w.slots[s.slot]
	last := len(slot) - 1
	slot[s.position] = slot[last]
	slot[s.position].position = s.position
	slot[last] = nil
	w.slots[s.slot] = slot[:last]
	s.slot = -1
}

func (w *wheel) each(f func(*Source)) {
	for _, slot := range w.slots {
		for _, s := range slot {
			f(s)
		}
	}
}

// turn handles the slots whose time has come, each at most once, and returns
// when the next one with a source is due.
func (w *wheel) turn(now time.Time, due func(*Source)) time.Time {
	passed := int64(now.Sub(w.begin) / w.quantum)
	rounds := int64(len(w.slots))
	for w.done = max(w.done, passed-rounds); w.done < passed; w.done++ {
		for _, s := range w.slots[w.done%rounds] {
			due(s)
		}
	}
	for i := range rounds {
		if len(w.slots[(w.done+i)%rounds]) > 0 {
			return w.begin.Add(time.Duration(w.done+i+1) * w.quantum)
		}
	}
	return never(now)
}
