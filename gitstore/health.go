package gitstore

import (
	"errors"
	"fmt"
	"sync"
)

// health is what keeps a repository from being followed or written to.
type health struct {
	mu      sync.Mutex
	faults  [3]error
	changed chan struct{} // closed when a fault comes or goes
}

// The kinds of fault, which come and go by themselves.
const (
	openFault = iota
	followFault
	writeFault
)

func newHealth(notOpen error) *health {
	h := &health{changed: make(chan struct{})}
	h.faults[openFault] = notOpen
	return h
}

// fault returns the one that counts, and a channel that is closed when that
// may be different.
func (h *health) fault() (changed <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, err := range h.faults {
		if err != nil {
			return h.changed, err
		}
	}
	return h.changed, nil
}

func (h *health) has(kind int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.faults[kind] != nil
}

// set keeps a fault, or that there is none, and reports whether that is news.
func (h *health) set(kind int, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.faults[kind]
	if before == nil && err == nil || before != nil && err != nil && before.Error() == err.Error() {
		return false
	}
	h.faults[kind] = err
	close(h.changed)
	h.changed = make(chan struct{})
	return true
}

// Healthy returns nil, or why the repository can't be followed or written to
// at present; that matches [ErrUnavailable], and [ErrOpening] till it was opened
// or that has failed. Snapshots go on showing the last commit that could be
// read. It recovers by itself once the cause is gone.
func (r *Repository) Healthy() error {
	_, err := r.health.fault()
	return err
}

// setHealth keeps a fault, or that there is none any more.
func (r *Repository) setHealth(kind int, err error) {
	if err != nil {
		err = unavailable("use the repository of tenant "+r.tenant.s, err)
	}
	before := r.Healthy()
	if !r.health.set(kind, err) {
		return
	}
	now := r.Healthy()
	switch {
	case err != nil:
		r.log.Error("repository unavailable", "tenant", r.tenant.s, "error", err)
	case now == nil && !errors.Is(before, ErrOpening):
		r.log.Info("repository recovered", "tenant", r.tenant.s)
	}
	healthy := 0.0
	if now == nil {
		healthy = 1
	}
	r.metrics.healthy.Set(healthy)
}

// unavailable says that something can't be done now, and why.
func unavailable(what string, cause error) error {
	if errors.Is(cause, ErrUnavailable) {
		return cause
	}
	return fmt.Errorf("%w: cannot %s now: %w", ErrUnavailable, what, cause)
}
