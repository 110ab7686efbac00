package forward

import (
	"net"
	"syscall"
)

// dialer makes connections that the kernel gives up when the other machine acknowledges nothing
// for the time of Reach. While nothing is under way it asks for a sign of life. So a holder whose
// machine lost its power, or was cut off, is noticed by whoever waits for it and by connections
// that nobody uses, without a timer of ours.
//
// Where all that is ever sent fits into the buffers of the other end (isShort) that holds as well
// while something is on its way. Elsewhere it can't be had: the kernel can't tell a machine that
// is gone from a holder that is slow to read a push (TCP_USER_TIMEOUT counts the time of a window
// that is closed), and such a request waits till the tenant has another holder, or for Stream.
func (p *Patience) dialer(isShort bool) *net.Dialer {
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: p.Reach * 2 / 5, Interval: p.Reach / 5, Count: 3}}
	if isShort {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var failed error
			err := c.Control(func(fd uintptr) { failed = boundUnacknowledged(fd, p.Reach) })
			if err == nil {
				err = failed
			}
			return err
		}
	}
	return d
}
