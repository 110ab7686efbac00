package forward

import (
	"time"

	"golang.org/x/sys/unix"
)

// boundUnacknowledged has the kernel give a connection up on which something that was sent is not
// acknowledged for so long.
func boundUnacknowledged(fd uintptr, d time.Duration) error {
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}
