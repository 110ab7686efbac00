package limit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Remote is the address that limits are counted against: of the
// connection, or, behind trusted proxies, the last one in X-Forwarded-For that
// is none of them. All of an IPv6 /64 is one, as it is one customer's.
func Remote(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if len(trusted) > 0 && Trusted(addr, trusted) {
		hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
		for _, hop := range slices.Backward(hops) {
			a, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				break
			}
			addr = a.Unmap()
			if !Trusted(addr, trusted) {
				break
			}
		}
	}
	return Customer(addr)
}

// Customer makes one address of a /64 of IPv6.
func Customer(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// Trusted reports whether an address is one of the proxies that are believed.
func Trusted(a netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}
