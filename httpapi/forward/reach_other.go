//go:build !linux

package forward

import "time"

// boundUnacknowledged does nothing where that can't be had: such a connection is given up when the
// tenant has another holder.
func boundUnacknowledged(uintptr, time.Duration) error { return nil }
