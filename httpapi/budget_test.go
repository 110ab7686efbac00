package httpapi

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"secretsync/httpapi/limit"
)

// fill makes definitions, a hundred a commit.
func (w *world) fill(n int) {
	w.Helper()
	for begin := 0; begin < n; begin += 100 {
		var operations []string
		for i := begin; i < min(n, begin+100); i++ {
			operations = append(operations, fmt.Sprintf(`{"op":"create","name":"secret-%04d","secretPath":"a","sync":[{"cluster":"production","namespace":"n%d"}]}`, i, i))
		}
		w.must(200, "POST", "/secrets:batch", `{"operations":[`+strings.Join(operations, ",")+`]}`)
	}
}

// A declarative client reads each definition once, ten at a time, and takes 429
// for an error.
func TestAThousandDefinitionsAreReadTenAtATimeWithoutAPause(t *testing.T) {
	const definitions = 1000
	clock := newHand() // it stands still: nothing is given back meanwhile
	w := newWorld(t, func(c *Config) { c.Clock, c.Limits = clock, limit.Limits{} })
	w.fill(definitions)
	next := make(chan int)
	var readers sync.WaitGroup
	for range 10 {
		readers.Go(func() {
			for i := range next {
				if r := w.do("GET", fmt.Sprintf("/api/v1/tenants/acme/secrets/secret-%04d", i), w.reader, ""); r.status != 200 {
					t.Errorf("GET %d: %d %s", i, r.status, r.body)
				}
			}
		})
	}
	for i := range definitions {
		next <- i
	}
	close(next)
	readers.Wait()
}

func TestAKeyThatFloodsHurtsItselfAlone(t *testing.T) {
	clock := newHand()
	w := newWorld(t, func(c *Config) {
		c.Clock, c.Limits = clock, limit.Limits{Rate: 1, Burst: 5, KeyRate: 2, KeyBurst: 20, FreeFailures: -1}
	})
	flood := func(key string, n int) (limited int, last reply) {
		for range n {
			if r := w.do("GET", "/api/v1/tenants/acme", key, ""); r.status == 429 {
				limited++
				last = r
			}
		}
		return limited, last
	}
	limited, r := flood(w.admin, 30)
	if limited != 10 || r.header.Get("Retry-After") != "1" || !strings.Contains(w.errorOf(r), "with your key") {
		t.Errorf("of 30 requests with one key %d were 429, the last %v %s; want 10", limited, r.header, r.body)
	}
	if limited, _ := flood(w.reader, 20); limited != 0 {
		t.Errorf("another key behind the same address: %d were 429", limited)
	}
	t.Log("who has no key is bounded by the address, and takes nothing from who has one")
	for _, key := range []string{"", "kupe_ak-aaaa_guess"} {
		statuses := map[int]int{}
		for range 10 {
			statuses[w.do("GET", "/api/v1/tenants/acme", key, "").status]++
		}
		if statuses[401] > 5 || statuses[401]+statuses[429] != 10 {
			t.Errorf("with the key %q: %v", key, statuses)
		}
	}
	clock.advance(time.Second)
	if limited, _ := flood(w.reader, 2); limited != 0 {
		t.Errorf("with the address at its end: %d were 429", limited)
	}
	if limited, _ := flood(w.admin, 3); limited != 1 {
		t.Errorf("after a second %d of 3 were 429; want 1", limited)
	}
}
