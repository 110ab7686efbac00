package report

import (
	"math/rand/v2"
	"time"
)

// pauses grow: each is twice as long as the one before, up to a greatest one, and
// somewhat longer or shorter so that many don't come together.
type pauses struct {
	first, most time.Duration
	count       int       // since done
	until       time.Time // nothing is to be done before
}

// grow begins a pause. least is how long it is at least.
func (p *pauses) grow(now time.Time, least time.Duration) {
	pause := p.most
	if p.count < 30 {
		pause = min(p.most, p.first<<p.count)
	}
	p.count++
	pause = time.Duration(float64(pause) * (0.75 + rand.Float64()/2))
	p.until = now.Add(max(pause, least))
}

// done ends the pause; the next one is the shortest again.
func (p *pauses) done() { p.count, p.until = 0, time.Time{} }

// left is how long the pause still is.
func (p *pauses) left(now time.Time) time.Duration { return max(0, p.until.Sub(now)) }

// sooner returns the lesser of two times to wait, of which zero is none.
func sooner(a, b time.Duration) time.Duration {
	if a <= 0 || b > 0 && b < a {
		return max(b, 0)
	}
	return a
}
