//go:build !linux

package githttp

import "time"

// limit does nothing where no process can bound another one.
func limit(int, time.Duration) error { return nil }

// awaitExit leaves it to Wait.
func awaitExit(int) {}

func awaitGroup(int) {}
