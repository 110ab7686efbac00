package reconcile

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func newTestQueue(limit int) *queue[string] {
	return newQueue[string](clocktesting.NewFakePassiveClock(time.Unix(0, 0)), limit)
}

// takes gets and gives back, and returns what it got.
func takes(q *queue[string], n int) (got []string) {
	for range n {
		item, _, _ := q.get()
		got = append(got, item)
		q.done(item)
	}
	return got
}

func TestTenantsTakeTurnsWhateverTheyHaveWaiting(t *testing.T) {
	q := newTestQueue(1)
	for i := range 1000 {
		q.add("big", fmt.Sprintf("big-%d", i), changed)
	}
	q.add("small", "small-1", changed)
	if got := takes(q, 2); got[1] != "small-1" && got[0] != "small-1" {
		t.Errorf("%v", got)
	}
}

func TestWhoComesDuringAFloodIsNext(t *testing.T) {
	const limit = 32
	q := newTestQueue(limit)
	for i := range 1000 {
		q.add("flood", fmt.Sprintf("flood-%d", i), changed)
	}
	takes(q, 100) // it is under way
	var busy []string
	for range limit {
		item, _, _ := q.get()
		busy = append(busy, item)
	}
	q.add("other", "other-1", changed)
	if item, _, _ := q.get(); item != "other-1" {
		t.Errorf("got %s, when all the flood may have at once is under way", item)
	}
	q.add("other", "other-2", changed)
	for _, item := range busy {
		q.done(item)
	}
	if got := takes(q, 2); got[0] != "other-2" && got[1] != "other-2" {
		t.Errorf("%v go ahead of the other's one", got)
	}
}

func TestChangesGoAheadButDoNotStopTheLooking(t *testing.T) {
	q := newTestQueue(1)
	for i := range 100 {
		q.add("a", fmt.Sprintf("look-%d", i), periodic)
		q.add("b", fmt.Sprintf("change-%d", i), changed)
	}
	looks := 0
	for _, item := range takes(q, 64) {
		if item[0] == 'l' {
			looks++
		}
	}
	if looks != 64/periodicShare {
		t.Errorf("%d of 64 turns were for looking", looks)
	}
}

func TestAnItemAddedWhileUnderWayComesAgainAfterwards(t *testing.T) {
	q := newTestQueue(2)
	q.add("a", "x", periodic)
	x, _, _ := q.get()
	q.add("a", x, changed)
	q.add("a", x, periodic)
	q.add("a", "y", changed)
	if y, _, _ := q.get(); y != "y" {
		t.Fatalf("got %s, which is under way", y)
	}
	q.done(x)
	if again, p, _ := q.get(); again != "x" || p != changed {
		t.Errorf("got %s with priority %s", again, p)
	}
}

func TestATenantHasNoMoreUnderWayThanItsLimit(t *testing.T) {
	q := newTestQueue(2)
	for _, item := range []string{"1", "2", "3"} {
		q.add("a", item, changed)
	}
	q.add("b", "other", changed)
	first, _, _ := q.get()
	q.get()
	third, _, _ := q.get()
	if third == "3" || first == "3" {
		t.Errorf("three of one tenant are under way")
	}
}

func TestAPausedTenantWaitsAndLosesNothing(t *testing.T) {
	q := newTestQueue(4)
	q.pauseTenant("a", true)
	q.add("a", "x", changed)
	q.add("b", "y", changed)
	if got := takes(q, 1); got[0] != "y" {
		t.Fatalf("%v", got)
	}
	q.pauseTenant("a", false)
	if got := takes(q, 1); got[0] != "x" {
		t.Fatalf("%v", got)
	}
	q.add("a", "x", changed)
	q.add("a", "z", periodic)
	if dropped := q.drain(); len(dropped) != 2 {
		t.Errorf("drained %v", dropped)
	}
	q.add("a", "again", changed)
	if got := takes(q, 1); got[0] != "again" {
		t.Fatalf("%v", got)
	}
	if len(q.items) != 0 || len(q.shares) != 0 {
		t.Errorf("something is kept: %v %v", q.items, q.shares)
	}
}

// TestManyWorkers has each item worked on as often as it was added last, never
// twice at once.
func TestManyWorkers(t *testing.T) {
	q := newTestQueue(4)
	var mu sync.Mutex
	busy, seen := make(map[string]bool), make(map[string]bool)
	var workers, items sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for {
				item, _, ok := q.get()
				if !ok {
					return
				}
				mu.Lock()
				if busy[item] {
					t.Errorf("%s is worked on twice at once", item)
				}
				busy[item] = true
				mu.Unlock()
				mu.Lock()
				busy[item] = false
				if !seen[item] {
					seen[item] = true
					items.Done()
				}
				mu.Unlock()
				q.done(item)
			}
		})
	}
	items.Add(500)
	var adders sync.WaitGroup
	for range 4 {
		adders.Go(func() {
			for _, i := range rand.Perm(500) {
				q.add(fmt.Sprint("tenant", i%7), fmt.Sprint("item", i), priority(rand.IntN(int(priorities))))
			}
		})
	}
	adders.Wait()
	items.Wait()
	q.close()
	workers.Wait()
}

func TestFifoKeepsOrderAndRoom(t *testing.T) {
	var f fifo[int]
	next, last := 0, 0
	for range 10_000 {
		if f.len() == 0 || rand.IntN(3) > 0 {
			f.push(last)
			last++
		} else if got := f.pop(); got != next {
			t.Fatalf("popped %d, want %d", got, next)
		} else {
			next++
		}
	}
	for f.len() > 0 {
		if got := f.pop(); got != next {
			t.Fatalf("popped %d, want %d", got, next)
		}
		next++
	}
	if next != last || cap(f.items) > 16384 {
		t.Errorf("%d of %d, room for %d", next, last, cap(f.items))
	}
}
