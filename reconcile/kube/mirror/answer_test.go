package mirror

import "testing"

// What a write is answered comes in any order with listings, and with another cluster that
// stands behind the name.
func TestAnAnswerToAWriteIsNotTakenForTheLastWord(t *testing.T) {
	listing := func(m *Mirror, rv string, s ...string) {
		l := m.Begin(place.Namespace)
		for _, rv := range s {
			l.Took(stamped(m, wanted, rv))
		}
		l.Complete(rv)
	}
	for name, c := range map[string]struct {
		meanwhile func(*Mirror) // the answer is that of version 10
		stands    string        // afterwards; empty: none does
	}{
		"a listing of before it":                      {func(m *Mirror) { listing(m, "5") }, "10"},
		"a listing of after it has it not: it went":   {func(m *Mirror) { listing(m, "15") }, ""},
		"a listing has it as it is":                   {func(m *Mirror) { listing(m, "15", "10") }, "10"},
		"a listing has it as it became":               {func(m *Mirror) { listing(m, "15", "12") }, "12"},
		"it went, and a listing has it made anew":     {func(m *Mirror) { m.Saw(place, nil, "11"); listing(m, "15", "12") }, "12"},
		"it went at a server that began anew":         {func(m *Mirror) { m.Saw(place, nil, "90"); listing(m, "5") }, "10"},
		"another cluster is there, and has none":      {(*Mirror).Forget, ""},
		"another cluster is there, and has one":       {func(m *Mirror) { m.Forget(); listing(m, "4", "3") }, "3"},
		"another cluster is there, and tells of ours": {func(m *Mirror) { m.Forget(); m.Saw(place, stamped(m, wanted, "3"), "3") }, "3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := still()
			answered := writing(m, "10")
			c.meanwhile(m)
			answered()
			switch r := m.Look(place).Copy; {
			case c.stands == "" && r != nil:
				t.Errorf("version %s is taken for there", r.ResourceVersion)
			case c.stands != "" && (r == nil || r.ResourceVersion != c.stands):
				t.Errorf("%v is taken for there, not version %s", r, c.stands)
			}
			if len(m.flights) != 0 {
				t.Errorf("%d writes are taken to be under way", len(m.flights))
			}
		})
	}
}

func TestAWriteOfAnotherClusterIsNotWaitedFor(t *testing.T) {
	m, _ := still()
	era := m.Era()
	before := m.TakeOff(place, m.cfg.Reader().Sends(nil, wanted), era)
	m.Forget()
	m.Land(place, before, false)
	late := m.TakeOff(place, m.cfg.Reader().Sends(nil, wanted), era) // it was on its way here when the other came
	if len(m.expected) != 0 || len(m.flights) != 0 {
		t.Errorf("%d are expected, and %d under way", len(m.expected), len(m.flights))
	}
	answer := late.Sent.Answered(&stamped(m, wanted, "10").ObjectMeta)
	if m.Wrote(place, late, answer); m.Look(place).Copy != nil {
		t.Error("it is taken for there")
	}
	if m.Found(place, answer, m.Before(place, era)); m.Look(place).Copy != nil {
		t.Error("what was read in it is taken for there")
	}
}

// Whoever follows a namespace may be in the middle of a listing when it is left.
func TestAListingThatEndsWhenNobodyFollowsTheNamespaceIsOfNoConcern(t *testing.T) {
	m, _ := still()
	l := m.Begin(place.Namespace)
	l.Took(stamped(m, wanted, "10"))
	m.Leave(place.Namespace)
	l.Complete("15")
	if m.Peek(place).Copy != nil {
		t.Error("what is in it is known")
	}
}

// The watch tells of what we wrote, and that it went, when we have deleted it long since.
func TestWhatWeDeletedIsNotBroughtBackByAnEventOfBefore(t *testing.T) {
	m, o := still()
	echo := func() { m.Saw(place, stamped(m, wanted, "10"), "10") }
	for name, tell := range map[string]func(){
		"before it was told of":            func() {},
		"after it was told of as it stood": echo,
	} {
		m.Forget()
		c := writing(m, "10")()
		if tell(); m.Look(place).Copy == nil {
			t.Fatalf("%s: none is there", name)
		}
		m.Removed(place, c)
		before := o.of(place)
		echo()
		if seen := m.Look(place); seen.Copy != nil || seen.Left || o.of(place) != before {
			t.Errorf("%s: it is back: %v, left: %v", name, seen.Copy, seen.Left)
		}
		if m.Found(place, m.cfg.Reader().Read(stamped(m, wanted, "10")), m.Before(place, m.Era())) != nil {
			t.Errorf("%s: an answer brings it back", name)
		}
		if m.Saw(place, nil, "11"); m.Look(place).Left || len(m.removed) != 0 {
			t.Errorf("%s: %+v, %d are taken to go", name, m.Look(place), len(m.removed))
		}
		if m.Saw(place, stamped(m, wanted, "12"), "12"); m.Look(place).Copy == nil {
			t.Errorf("%s: the next one is not there", name)
		}
	}
}
