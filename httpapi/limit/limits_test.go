package limit

import "testing"

func TestTheBudgetOfAKeyIsThatOfAnAddressUnlessItIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		limits Limits
		rate   float64
		burst  int
	}{
		"nothing is said":         {Limits{}, 100, 2000},
		"a rate":                  {Limits{Rate: 5}, 5, 2000},
		"a great rate":            {Limits{Rate: 5000}, 5000, 10000},
		"both":                    {Limits{Rate: 5, Burst: 7}, 5, 7},
		"of the key":              {Limits{Rate: 5, Burst: 7, KeyRate: 50, KeyBurst: 70}, 50, 70},
		"none for addresses":      {Limits{Rate: -1}, -1, 2000},
		"none for keys":           {Limits{Rate: 5, Burst: 7, KeyRate: -1}, -1, 7},
		"for more definitions":    {Limits{Definitions: 5000}, 100, 10000},
		"a great rate of the key": {Limits{Rate: 5, KeyRate: 9000}, 9000, 18000},
	} {
		rate, burst := c.limits.ofKey()
		if float64(rate) != c.rate || burst != c.burst {
			t.Errorf("%s: %v a second and %d at once; want %v and %d", name, rate, burst, c.rate, c.burst)
		}
	}
}
