package queue

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

// Items of these tests are written tenant/kind/what, kind "look" being periodic.
func classOf(item string) Class {
	parts := strings.Split(item, "/")
	c := Class{Tenant: parts[0]}
	if parts[1] == "look" {
		c.Kind = Periodic
	}
	return c
}

func newTestFair() *fair[string] {
	return newFair(clocktesting.NewFakePassiveClock(time.Unix(0, 0)), classOf)
}

// takes pops and ends, and returns what it got.
func takes(f *fair[string], n int) (got []string) {
	for range n {
		item := f.Pop()
		got = append(got, item)
		f.ended(item)
	}
	return got
}

func TestTenantsTakeTurnsWhateverTheyHaveWaiting(t *testing.T) {
	f := newTestFair()
	for i := range 1000 {
		f.Push(fmt.Sprintf("big/change/%d", i))
	}
	f.Push("small/change/1")
	if got := takes(f, 2); got[1] != "small/change/1" && got[0] != "small/change/1" {
		t.Errorf("%v", got)
	}
}

func TestWhoHasTheFewestUnderWayIsNext(t *testing.T) {
	const workers = 32
	f := newTestFair()
	for i := range 1000 {
		f.Push(fmt.Sprintf("slow/change/%d", i))
	}
	var busy []string
	for range workers {
		busy = append(busy, f.Pop())
	}
	for i := range 1000 {
		f.Push(fmt.Sprintf("quick/change/%d", i))
	}
	// Each worker that becomes free goes to the quick one, until both have as
	// many; what of it ends at once is followed by another of it.
	quick := 0
	for range workers / 2 {
		f.ended(busy[0])
		busy = busy[1:]
		for range 10 {
			item := f.Pop()
			if !strings.HasPrefix(item, "quick/") {
				t.Fatalf("%s, while the quick one has %d under way and the slow one %d", item, quick, len(busy))
			}
			f.ended(item)
		}
		quick++
		if item := f.Pop(); !strings.HasPrefix(item, "quick/") {
			t.Fatalf("%s, while the quick one has %d under way and the slow one %d", item, quick, len(busy))
		}
	}
}

func TestChangesGoAheadButDoNotStopTheLooking(t *testing.T) {
	f := newTestFair()
	for i := range 100 {
		f.Push(fmt.Sprintf("a/look/%d", i))
		f.Push(fmt.Sprintf("b/change/%d", i))
	}
	looks := 0
	for _, item := range takes(f, 64) {
		if classOf(item).Kind == Periodic {
			looks++
		}
	}
	if looks != 64/periodicTurn {
		t.Errorf("%d of 64 turns were for looking", looks)
	}
}

func TestOfOneTenantTheFirstToComeIsFirst(t *testing.T) {
	f := newTestFair()
	for i := range 200 {
		f.Push(fmt.Sprintf("a/change/%d", i))
	}
	for i, item := range takes(f, 200) {
		if want := fmt.Sprintf("a/change/%d", i); item != want {
			t.Fatalf("%s came, not %s", item, want)
		}
	}
	if len(f.entries)+len(f.shares)+len(f.running) > 0 {
		t.Errorf("something is kept: %v %v %v", f.entries, f.shares, f.running)
	}
}

func TestAnItemThatWaitsIsRaisedAndComesOnce(t *testing.T) {
	kinds := map[string]Kind{"x": Periodic, "y": Periodic}
	f := newFair(clocktesting.NewFakePassiveClock(time.Unix(0, 0)), func(item string) Class { return Class{Tenant: "a", Kind: kinds[item]} })
	f.Push("y")
	f.Push("x")
	kinds["x"] = Changed
	f.Touch("x")
	kinds["x"] = Periodic
	f.Touch("x") // never lowered
	if f.Len() != 2 {
		t.Fatalf("%d wait", f.Len())
	}
	if got := takes(f, 2); got[0] != "x" || got[1] != "y" || f.Len() != 0 {
		t.Errorf("%v, and %d wait", got, f.Len())
	}
}

func TestWhatWaitsIsCounted(t *testing.T) {
	c := clocktesting.NewFakePassiveClock(time.Unix(100, 0))
	f := newFair(c, classOf)
	f.Push("a/look/1")
	c.SetTime(time.Unix(103, 0))
	f.Push("a/change/1")
	f.Push("b/look/1")
	c.SetTime(time.Unix(110, 0))
	w := f.waiting()
	if w[Periodic] != (Waiting{2, 10 * time.Second}) || w[Changed] != (Waiting{1, 7 * time.Second}) {
		t.Errorf("%+v", w)
	}
}

// TestManyWorkers has each item worked on as often as it was added last, never
// twice at once.
func TestManyWorkers(t *testing.T) {
	q := New(clock.RealClock{}, func(i int) Class { return Class{Tenant: fmt.Sprint(i % 7), Kind: Kind(rand.IntN(int(Kinds)))} })
	var mu sync.Mutex
	busy, seen := make(map[int]bool), make(map[int]bool)
	var workers, items sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for {
				item, ended := q.Get()
				if ended {
					return
				}
				mu.Lock()
				if busy[item] {
					t.Errorf("%d is worked on twice at once", item)
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
				q.Done(item)
			}
		})
	}
	items.Add(500)
	var adders sync.WaitGroup
	for range 4 {
		adders.Go(func() {
			for _, i := range rand.Perm(500) {
				if i%2 == 0 {
					q.Add(i)
				} else {
					q.AddAfter(i, time.Duration(rand.IntN(10))*time.Millisecond)
				}
			}
		})
	}
	adders.Wait()
	items.Wait()
	q.ShutDown()
	workers.Wait()
}
