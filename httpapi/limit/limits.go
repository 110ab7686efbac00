package limit

import (
	"golang.org/x/time/rate"

	"secretsync/gitstore/definition"
)

// Limits bound what may be asked for: with a right key, with that key; without
// one, from one address. Many keys can share an address.
type Limits struct {
	// Rate is how many requests a second one address may make over time; 0:
	// 100; negative: no limit.
	Rate float64
	// Burst is how many it may make at once. 0: twice the rate, and not less
	// than twice the number of definitions that a tenant may have.
	Burst int
	// KeyRate and KeyBurst are the same for one key. 0: as Rate and Burst.
	KeyRate  float64
	KeyBurst int
	// Definitions is how many a tenant may have. 0: [definition.DefaultLimit].
	Definitions int
	// FreeFailures is how many failed authentications one address has free
	// before each further one makes it wait, twice as long each time. 0: 5;
	// negative: no such delay.
	FreeFailures int
}

const (
	defaultRate         = 100
	defaultFreeFailures = 5
)

// ofAddress returns what one address may ask for without a key.
func (l *Limits) ofAddress() (rate.Limit, int) {
	limit := rate.Limit(l.Rate)
	if limit == 0 {
		limit = defaultRate
	}
	return limit, l.burst(l.Burst, limit)
}

// ofKey returns what one key may ask for.
func (l *Limits) ofKey() (rate.Limit, int) {
	limit, burst := l.ofAddress()
	if l.KeyRate != 0 {
		limit = rate.Limit(l.KeyRate)
	}
	if l.Burst == 0 || l.KeyBurst != 0 {
		burst = l.burst(l.KeyBurst, limit)
	}
	return limit, burst
}

// burst is what was said, or else what lets a client read every definition of a
// tenant and write each once.
func (l *Limits) burst(said int, limit rate.Limit) int {
	if said != 0 {
		return said
	}
	definitions := l.Definitions
	if definitions == 0 {
		definitions = definition.DefaultLimit
	}
	return max(int(2*limit), 2*definitions)
}

func (l *Limits) freeFailures() int {
	if l.FreeFailures == 0 {
		return defaultFreeFailures
	}
	return l.FreeFailures
}
