package proposal

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"secretsync/gitstore"
)

// interval is how often the forge is asked for those who have an open proposal,
// besides when it tells by itself.
const interval = 5 * time.Minute

// leastPause is between two looks of one tenant's, however much its forge tells.
const leastPause = 2 * time.Second

// Desk has the keepers of all tenants that have a forge. Its zero value is ready.
type Desk struct {
	Clock clock.Clock // nil: the machine's

	once    sync.Once
	mu      sync.Mutex
	keepers map[gitstore.TenantName]*Keeper
	woken   chan struct{} // has room for one signal
}

func (d *Desk) init() {
	d.once.Do(func() {
		d.woken = make(chan struct{}, 1)
		d.keepers = make(map[gitstore.TenantName]*Keeper)
		if d.Clock == nil {
			d.Clock = clock.RealClock{}
		}
	})
}

// Assign says whose changes can be proposed from now on. Keepers stay that are told
// what they were told before.
func (d *Desk) Assign(tenants []Config) {
	d.init()
	d.mu.Lock()
	defer d.mu.Unlock()
	next := make(map[gitstore.TenantName]*Keeper, len(tenants))
	for _, c := range tenants {
		if c.Clock == nil {
			c.Clock = d.Clock
		}
		if k := d.keepers[c.Tenant]; k != nil && k.cfg == c {
			next[c.Tenant] = k
			continue
		}
		k := newKeeper(c, d.wake)
		k.due = d.later()
		next[c.Tenant] = k
		d.wake()
	}
	d.keepers = next
}

// Keeper returns that of a tenant; nil: there is no forge where a change could be
// proposed.
func (d *Desk) Keeper(tenant gitstore.TenantName) *Keeper {
	d.init()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keepers[tenant]
}

// Hint has a tenant's forge asked soon: something happened to a pull request. Tenants
// without a forge are ignored.
func (d *Desk) Hint(tenant gitstore.TenantName) {
	d.init()
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.keepers[tenant]; k != nil {
		d.hurry(k)
	}
}

// Reread has every tenant's forge asked soon.
func (d *Desk) Reread() {
	d.init()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.keepers {
		d.hurry(k)
	}
}

// hurry makes it a keeper's turn. d.mu is held.
func (d *Desk) hurry(k *Keeper) {
	if soon := k.asked.Add(leastPause); soon.Before(k.due) {
		k.due = soon // in the past as a rule, which is now
		d.wake()
	}
}

func (d *Desk) wake() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

// later spreads the tenants' turns.
func (d *Desk) later() time.Time {
	return d.Clock.Now().Add(time.Duration((0.8 + 0.4*rand.Float64()) * float64(interval)))
}

// Run looks what became of the proposals until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	d.init()
	for {
		d.round(ctx)
		timer := d.Clock.NewTimer(d.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-d.woken:
			timer.Stop()
		case <-timer.C():
		}
	}
}

// pause is how long it is till the next keeper's turn.
func (d *Desk) pause() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	pause := interval
	for _, k := range d.keepers {
		pause = min(pause, max(0, k.due.Sub(d.Clock.Now())))
	}
	return pause
}

// round has those look whose turn it is.
func (d *Desk) round(ctx context.Context) {
	d.mu.Lock()
	var due []*Keeper
	for _, k := range d.keepers {
		if !d.Clock.Now().Before(k.due) {
			due, k.due, k.asked = append(due, k), d.later(), d.Clock.Now()
		}
	}
	d.mu.Unlock()
	for _, k := range due {
		if ctx.Err() != nil || !k.busy(ctx) {
			continue
		}
		if err := k.tidy(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("what became of proposals is not known; the forge is asked again", "error", err)
		}
	}
}
