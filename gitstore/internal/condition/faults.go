package condition

import (
	"errors"
	"log/slog"
	"sync"

	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/telemetry"
)

// Condition is that of one repository. It may be read by any number of goroutines; only
// that of the repository sets it.
type Condition struct {
	log     *slog.Logger
	tenant  string
	metrics *telemetry.RepositoryMetrics

	mu       sync.Mutex
	faults   [faults]error
	changed  chan struct{} // closed when a fault comes or goes
	problems [problems][]string

	complaints map[string]string // what could not be done, and why, as logged last
	told       bool              // the log says that it is unavailable
}

// New returns the condition of a tenant's repository that is not open, and why.
func New(log *slog.Logger, tenant string, notOpen error) *Condition {
	c := &Condition{log: log, tenant: tenant, changed: make(chan struct{}), complaints: make(map[string]string)}
	c.faults[OpenFault] = notOpen
	return c
}

// Measure has the condition counted from now on, which has to be before it is set.
func (c *Condition) Measure(m *telemetry.RepositoryMetrics) { c.metrics = m }

// Fault is a kind of fault: something that keeps a repository from being followed or
// written to, and that comes and goes by itself.
type Fault int

// The kinds of fault.
const (
	OpenFault   Fault = iota // it can't be opened
	FollowFault              // the branch can't be followed
	WriteFault               // nothing can be written
	faults                   // how many there are
)

// Fault returns the one that counts, and a channel that is closed when that may be
// different.
func (c *Condition) Fault() (changed <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range c.faults {
		if err != nil {
			return c.changed, err
		}
	}
	return c.changed, nil
}

// Has reports whether there is a fault of a kind.
func (c *Condition) Has(kind Fault) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults[kind] != nil
}

// set keeps a fault, or that there is none, and reports whether that is news.
func (c *Condition) set(kind Fault, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.faults[kind]
	if before == nil && err == nil || before != nil && err != nil && before.Error() == err.Error() {
		return false
	}
	c.faults[kind] = err
	close(c.changed)
	c.changed = make(chan struct{})
	return true
}

// SetFault keeps a fault, or that there is none any more. What is new is logged, but
// not that a repository is being opened: hundreds are when a replica dies, and where
// it can't be opened that follows.
func (c *Condition) SetFault(kind Fault, err error) {
	if err != nil {
		err = failure.CannotNow("use the repository of tenant "+c.tenant, err)
	}
	if !c.set(kind, err) {
		return
	}
	_, now := c.Fault()
	switch {
	case errors.Is(err, failure.ErrOpening):
	case err != nil:
		c.told = true
		c.log.Error("repository unavailable", "tenant", c.tenant, "error", err)
	case now == nil && c.told:
		c.told = false
		c.log.Info("repository recovered", "tenant", c.tenant)
	}
	healthy := 0.0
	if now == nil {
		healthy = 1
	}
	c.metrics.Healthy.Set(healthy)
}
