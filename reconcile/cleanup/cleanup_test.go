package cleanup

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func copies(from, to int) []Copy {
	var all []Copy
	for i := from; i < to; i++ {
		all = append(all, Copy{Cluster: "c1", Namespace: "default", Name: fmt.Sprintf("s%d", i), UID: fmt.Sprintf("u%d", i), Since: "abc"})
	}
	return all
}

func TestTheBrakeHoldsWhatIsTooMuch(t *testing.T) {
	for name, c := range map[string]struct {
		brake      Brake
		going, all int
		holds      bool
	}{
		"nothing is never held":                      {Brake{0, 0}, 0, 0, false},
		"as many as are allowed go":                  {Brake{10, 20}, 10, 1000, false},
		"one more is held":                           {Brake{10, 20}, 11, 1000, true},
		"as great a share as is allowed goes":        {Brake{10, 20}, 4, 20, false},
		"a greater share is held":                    {Brake{10, 20}, 4, 19, true},
		"the share does not count up to three":       {Brake{10, 20}, 3, 3, false},
		"no copies allowed holds a single one":       {Brake{0, 100}, 1, 1000, true},
		"the number counts where the share does not": {Brake{2, 100}, 3, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			if why := c.brake.Holds(c.going, c.all); (why != "") != c.holds {
				t.Errorf("holds %d of %d: %q", c.going, c.all, why)
			}
		})
	}
}

func TestACopyStaysUnlessEverythingSpeaksForItsEnd(t *testing.T) {
	goes := Candidate{Marked: true, Policy: Policy{Deletes: true}}
	if why := goes.Stays(); why != "" {
		t.Fatalf("one that is to go stays: %s", why)
	}
	for name, change := range map[string]func(*Candidate){
		"the copy does not say so":       func(c *Candidate) { c.Marked = false },
		"the definition does not say so": func(c *Candidate) { c.Deletes = false },
		"it is shared":                   func(c *Candidate) { c.Merges = true },
		"it is suspended":                func(c *Candidate) { c.Suspended = true },
		"it has an owner":                func(c *Candidate) { c.Owned = true },
		"another may adopt it":           func(c *Candidate) { c.Wanted = true },
		"it is being deleted":            func(c *Candidate) { c.Deleting = true },
	} {
		t.Run(name, func(t *testing.T) {
			c := goes
			change(&c)
			if c.Stays() == "" {
				t.Error("it goes")
			}
		})
	}
}

func TestAListIsNamedByJustWhatIsOnIt(t *testing.T) {
	list := copies(0, 5)
	reversed := slices.Clone(list)
	slices.Reverse(reversed)
	again := slices.Clone(list)
	again[2].Since = "def"
	switch id := ID(list); {
	case ID(reversed) != id:
		t.Error("the order counts")
	case ID(list[:4]) == id, ID(copies(0, 6)) == id:
		t.Error("another list has the same name")
	case ID(again) == id:
		t.Error("a copy that was claimed again meanwhile is named the same")
	}
}

func TestWhatIsReleasedGoesAndNothingElse(t *testing.T) {
	var l Ledger
	brake := Brake{10, 100}
	d := l.Decide(noon, brake, copies(0, 50), 1000)
	if len(d.Delete) != 0 || len(d.Held) != 50 || d.ID != ID(copies(0, 50)) || d.Again != 0 {
		t.Fatalf("50 copies: %d go, %d are held, looked at again after %s", len(d.Delete), len(d.Held), d.Again)
	}
	l.Release(d.Held)
	d = l.Decide(noon, brake, copies(0, 80), 1000)
	if !slices.Equal(d.Delete, copies(0, 50)) || !slices.Equal(d.Held, copies(50, 80)) {
		t.Fatalf("30 more came: %d go, %d are held", len(d.Delete), len(d.Held))
	}
	// The released ones don't count for others.
	d = l.Decide(noon, brake, copies(100, 110), 1000)
	if len(d.Delete) != 10 {
		t.Fatalf("as many as are allowed: %d go, %d are held", len(d.Delete), len(d.Held))
	}
	// What was claimed again has to be released again.
	if d = l.Decide(noon, brake, copies(0, 50), 1000); len(d.Delete) != 0 {
		t.Fatalf("after others were to go, %d go that were released long ago", len(d.Delete))
	}
}

func TestTheBrakeLetsGoWhenOthersWentLongEnoughAgo(t *testing.T) {
	var l Ledger
	brake := Brake{10, 100}
	l.Decide(noon, brake, copies(0, 6), 1000)
	d := l.Decide(noon.Add(time.Minute), brake, copies(6, 12), 994)
	if len(d.Held) != 6 || d.Again != Window-time.Minute {
		t.Fatalf("%d are held, looked at again after %s", len(d.Held), d.Again)
	}
	if d = l.Decide(noon.Add(time.Minute+d.Again), brake, copies(6, 12), 994); len(d.Delete) != 6 {
		t.Fatalf("after the window %d go", len(d.Delete))
	}
}

// Whatever becomes an orphan in whatever order, is claimed again, fails to be
// deleted or is released: in no window more go by themselves than are allowed, and
// what is held is never deleted.
func TestTheBrakeHoldsInEveryOrderOfEvents(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 11))
		brake := Brake{Copies: random.IntN(12), Share: float64(random.IntN(101))}
		var l Ledger
		standing, pending := copies(0, 20+random.IntN(200)), []Copy(nil)
		released := make(map[Copy]bool)
		went := make(map[Copy]time.Time)
		now := noon
		var last Decision
		for range 200 {
			switch random.IntN(6) {
			case 0, 1: // targets go
				for range random.IntN(15) {
					if c := standing[random.IntN(len(standing))]; !slices.Contains(pending, c) {
						pending = append(pending, c)
					}
				}
			case 2: // some come back
				pending = slices.DeleteFunc(pending, func(Copy) bool { return random.IntN(4) == 0 })
			case 3: // somebody releases what he saw
				l.Release(last.Held)
				for _, c := range last.Held {
					released[c] = true
				}
			case 4:
				now = now.Add(time.Duration(random.IntN(300)) * time.Second)
			}
			random.Shuffle(len(pending), func(i, j int) { pending[i], pending[j] = pending[j], pending[i] })
			last = l.Decide(now, brake, slices.Clone(pending), len(standing))
			if len(last.Delete)+len(last.Held) != len(pending) {
				t.Fatalf("seed %d: %d go and %d are held of %d", seed, len(last.Delete), len(last.Held), len(pending))
			}
			for _, c := range last.Delete {
				if slices.Contains(last.Held, c) {
					t.Fatalf("seed %d: %s is held and goes", seed, c.Name)
				}
				if !released[c] {
					went[c] = now
				}
				if random.IntN(5) > 0 && len(standing) > 1 { // else the cluster fails, perhaps after it did it
					pending = slices.DeleteFunc(pending, func(o Copy) bool { return o == c })
					standing = slices.DeleteFunc(standing, func(o Copy) bool { return o == c })
				}
			}
			within := 0
			for _, at := range went {
				if now.Sub(at) < Window {
					within++
				}
			}
			if within > brake.Copies {
				t.Fatalf("seed %d: %d went by themselves within %s, and %d are allowed", seed, within, Window, brake.Copies)
			}
			if len(last.Held) > 0 && (last.ID != ID(last.Held) || last.Why == "") {
				t.Fatalf("seed %d: a held list without a name or words", seed)
			}
		}
	}
}
