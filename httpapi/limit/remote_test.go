package limit

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestRemoteAddr(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		remote    string
		forwarded []string
		trusted   []netip.Prefix
		want      string
	}{
		"a connection counts by its address":                 {"192.0.2.1:99", nil, nil, "192.0.2.1"},
		"nobody is believed who is not trusted":              {"192.0.2.1:99", []string{"198.51.100.1"}, proxies, "192.0.2.1"},
		"a trusted proxy is believed":                        {"10.1.1.1:99", []string{"198.51.100.1"}, proxies, "198.51.100.1"},
		"only the last hop that is no proxy counts":          {"10.1.1.1:99", []string{"1.1.1.1, 198.51.100.1, 10.2.2.2"}, proxies, "198.51.100.1"},
		"several header fields are one list":                 {"10.1.1.1:99", []string{"1.1.1.1", "198.51.100.1"}, proxies, "198.51.100.1"},
		"rubbish from a proxy leaves the proxy":              {"10.1.1.1:99", []string{"unknown"}, proxies, "10.1.1.1"},
		"a /64 of IPv6 is one address":                       {"[2001:db8:1:2:3:4:5:6]:99", nil, nil, "2001:db8:1:2::"},
		"an IPv4 address in IPv6 clothes is an IPv4 address": {"[::ffff:192.0.2.1]:99", nil, nil, "192.0.2.1"},
		"no proxies are trusted where none are configured":   {"10.1.1.1:99", []string{"198.51.100.1"}, nil, "10.1.1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
			if got := Remote(r, c.trusted); got.String() != c.want {
				t.Errorf("got %s; want %s", got, c.want)
			}
		})
	}
}
