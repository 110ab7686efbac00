package listen

import (
	"net"
	"net/netip"
	"sync"

	"secretsync/httpapi/limit"
)

// fairListener accepts from each address a bounded number of connections at
// once and closes further ones, so that nobody holds all that there are.
type fairListener struct {
	net.Listener
	most   int
	exempt func(netip.Addr) bool // proxies, which speak for many

	mu   sync.Mutex
	open map[netip.Addr]int
}

func newFairListener(l net.Listener, most int, exempt func(netip.Addr) bool) *fairListener {
	return &fairListener{Listener: l, most: most, exempt: exempt, open: make(map[netip.Addr]int)}
}

func (l *fairListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err != nil || l.exempt(peer.Addr().Unmap()) {
			return c, nil
		}
		addr := limit.Customer(peer.Addr().Unmap())
		if l.take(addr) {
			return &fairConn{Conn: c, release: func() { l.release(addr) }}, nil
		}
		_ = c.Close() // it is refused; nothing was said on it yet
	}
}

func (l *fairListener) take(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[addr] >= l.most {
		return false
	}
	l.open[addr]++
	return true
}

func (l *fairListener) release(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[addr]--; l.open[addr] == 0 {
		delete(l.open, addr)
	}
}

// fairConn gives its place back when it is closed, once.
type fairConn struct {
	net.Conn
	once    sync.Once
	release func()
}

func (c *fairConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}
