package mirror

import (
	"testing"

	"secretsync/reconcile/kube/copies"
)

// What a request to read a place was answered comes in any order with what is told of it
// meanwhile.
func TestAnAnswerToAReadIsNotTakenForTheLastWord(t *testing.T) {
	at := func(rv string) func(*Mirror) {
		return func(m *Mirror) { m.Saw(place, stamped(m, wanted, rv), rv) }
	}
	gone := func(rv string) func(*Mirror) { return func(m *Mirror) { m.Saw(place, nil, rv) } }
	full := func(m *Mirror) {
		for i := range leftMost {
			m.left[copies.Key{Namespace: "elsewhere", Name: string(rune(i))}] = "1"
		}
	}
	listed := func(rv string, s ...string) func(*Mirror) {
		return func(m *Mirror) {
			l := m.Begin(place.Namespace)
			for _, rv := range s {
				l.Took(stamped(m, wanted, rv))
			}
			l.Complete(rv)
		}
	}
	for name, c := range map[string]struct {
		before    []func(*Mirror)
		meanwhile []func(*Mirror)
		answer    string // the resource version of the Secret that was found; empty: none
		stands    string // by what is known then; empty: none does
		left      bool   // it is to be read once more
	}{
		"none, and none came":                              {answer: "", stands: ""},
		"none, and one came meanwhile":                     {meanwhile: []func(*Mirror){at("10")}, stands: "10"},
		"none, where one was known":                        {before: []func(*Mirror){at("10")}, stands: ""},
		"none, where one went":                             {before: []func(*Mirror){at("10"), gone("11")}, stands: ""},
		"one, and nothing was told":                        {answer: "10", stands: "10"},
		"the one that is known":                            {before: []func(*Mirror){at("10")}, answer: "10", stands: "10"},
		"a newer one than is known":                        {before: []func(*Mirror){at("10")}, answer: "11", stands: "11"},
		"an older one than came meanwhile":                 {before: []func(*Mirror){at("10")}, meanwhile: []func(*Mirror){at("12")}, answer: "11", stands: "12"},
		"one that went meanwhile":                          {before: []func(*Mirror){at("10")}, meanwhile: []func(*Mirror){gone("11")}, answer: "10", left: true},
		"one that came and went meanwhile":                 {meanwhile: []func(*Mirror){at("10"), gone("11")}, answer: "10", left: true},
		"one that lost its label meanwhile":                {before: []func(*Mirror){at("10")}, meanwhile: []func(*Mirror){gone("11")}, answer: "11", stands: "11"},
		"one that was made anew after it went meanwhile":   {before: []func(*Mirror){at("10")}, meanwhile: []func(*Mirror){gone("11")}, answer: "12", stands: "12"},
		"one that is there again since it went":            {before: []func(*Mirror){at("10"), gone("11")}, answer: "12", stands: "12"},
		"one of a server that began anew":                  {before: []func(*Mirror){at("10"), gone("11")}, answer: "3", stands: "3"},
		"one that went, where no more of such can be kept": {before: []func(*Mirror){at("10")}, meanwhile: []func(*Mirror){full, gone("11")}, answer: "10"},
		"one that a listing since has not":                 {before: []func(*Mirror){listed("5")}, meanwhile: []func(*Mirror){listed("15")}, answer: "10"},
		"one that was made after a listing":                {before: []func(*Mirror){listed("5")}, meanwhile: []func(*Mirror){listed("15")}, answer: "20", stands: "20"},
		"one that a listing before has not":                {before: []func(*Mirror){listed("15")}, answer: "3", stands: "3"}, // of a server that began anew
		"one that a listing since has as it was later":     {before: []func(*Mirror){listed("5")}, meanwhile: []func(*Mirror){listed("15", "12")}, answer: "10", stands: "12"},
		"one of the cluster that was there before":         {before: []func(*Mirror){at("10")}, meanwhile: []func(*Mirror){(*Mirror).Forget}, answer: "10"},
		"none in the cluster that was there before":        {before: []func(*Mirror){at("10")}, meanwhile: []func(*Mirror){(*Mirror).Forget, at("3")}, answer: "", stands: "3"},
		"one that we removed meanwhile":                    {before: []func(*Mirror){at("10")}, meanwhile: []func(*Mirror){func(m *Mirror) { m.Removed(place, m.place(place)) }}, answer: "10"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := still()
			for _, do := range c.before {
				do(m)
			}
			asked := m.Before(place, m.Era())
			for _, do := range c.meanwhile {
				do(m)
			}
			var found *copies.Copy
			if c.answer != "" {
				found = m.cfg.Reader().Read(stamped(m, wanted, c.answer))
			}
			returned, seen := m.Found(place, found, asked), m.Look(place)
			if returned != seen.Copy || seen.Left != c.left {
				t.Errorf("%v is returned, and %v stands, left: %v", returned, seen.Copy, seen.Left)
			}
			switch {
			case c.stands == "" && seen.Copy != nil:
				t.Errorf("one is taken for there: %v", seen.Copy.ResourceVersion)
			case c.stands != "" && (seen.Copy == nil || seen.Copy.ResourceVersion != c.stands):
				t.Errorf("%v is taken for there, not version %s", seen.Copy, c.stands)
			}
		})
	}
}
