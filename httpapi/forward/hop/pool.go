package hop

import (
	"slices"
	"sync"
	"time"
)

// Pool keeps links that nobody uses for the next request. Its zero value is empty.
type Pool struct {
	mu     sync.Mutex
	idle   map[string][]*Link // by address; who was used last is last
	sweeps *time.Timer        // nil: there is nothing to sweep
	closed bool
}

const (
	// idlePerAddress is how many links to one replica are kept.
	idlePerAddress = 128
	// idleTime is less than a replica keeps a link that nobody uses.
	idleTime = time.Minute
)

// Get returns a link to an address; nil: none is kept.
func (p *Pool) Get(address string) *Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.idle[address]
	if len(kept) == 0 {
		return nil
	}
	l := kept[len(kept)-1]
	kept[len(kept)-1] = nil
	p.idle[address] = kept[:len(kept)-1]
	return l
}

// Put keeps a link whose exchange is over.
func (p *Pool) Put(address string, l *Link) {
	if cap(l.piece) > linkBuffer {
		l.piece = nil
	}
	l.idle = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[address]) >= idlePerAddress {
		_ = l.Close() // there is nothing on it
		return
	}
	if p.idle == nil {
		p.idle = make(map[string][]*Link)
	}
	p.idle[address] = append(p.idle[address], l)
	if p.sweeps == nil {
		p.sweeps = time.AfterFunc(idleTime, p.sweep)
	}
}

// sweep closes what nobody used for long.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweeps = nil
	now := time.Now()
	for address, kept := range p.idle {
		kept = slices.DeleteFunc(kept, func(l *Link) bool {
			old := now.Sub(l.idle) >= idleTime
			if old {
				_ = l.Close()
			}
			return old
		})
		if p.idle[address] = kept; len(kept) == 0 {
			delete(p.idle, address)
		}
	}
	if len(p.idle) > 0 && !p.closed {
		p.sweeps = time.AfterFunc(idleTime/2, p.sweep)
	}
}

// Drop closes what is kept for an address.
func (p *Pool) Drop(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(address)
}

func (p *Pool) drop(address string) {
	for _, l := range p.idle[address] {
		_ = l.Close()
	}
	delete(p.idle, address)
}

// Close closes all that is kept, and what will be put.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for address := range p.idle {
		p.drop(address)
	}
	if p.sweeps != nil {
		p.sweeps.Stop()
	}
}
