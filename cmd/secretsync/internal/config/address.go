package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// checkAddress is for what is listened on, where a port of 0 is any, or dialed.
func (d *document) checkAddress(field, address string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.ContainsAny(host, " \t/") {
		d.wrong(field, "%q is no address; write host:port, such as 127.0.0.1:8080, [::1]:8080 or :8443", address)
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		d.wrong(field, "%q has no port that there can be; write a number up to 65535, such as 8080", address)
	}
}

// checkApart has two addresses be ones that can be listened on at once. What is no address, as none given, is in nobody's way.
func (d *document) checkApart(field, address, otherField, other, remedy string) {
	host, port, err := net.SplitHostPort(address)
	otherHost, otherPort, otherErr := net.SplitHostPort(other)
	if err != nil || otherErr != nil || port != otherPort || port == "0" {
		return
	}
	if host == otherHost || everywhere(host) || everywhere(otherHost) {
		d.wrong(field, "%q is taken by %s, %q; give it a port of its own, or %s", address, otherField, other, remedy)
	}
}

// everywhere reports whether a host to listen on is all addresses of the machine.
func everywhere(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || err == nil && a.IsUnspecified()
}
