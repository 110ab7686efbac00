package remote_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"secretsync/gitstore/internal/remote"
)

// tunnel joins two connections until one of them ends.
func tunnel(a, b net.Conn) {
	var wg sync.WaitGroup
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			io.Copy(pair[0], pair[1])
			a.Close()
			b.Close()
		})
	}
	wg.Wait()
}

// httpProxy passes requests on, and makes tunnels.
func httpProxy(tb testing.TB, used *atomic.Int32) string {
	server := listen(tb, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		used.Add(1)
		if r.Method == http.MethodConnect {
			to, err := net.Dial("tcp", r.Host)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			from, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				to.Close()
				return
			}
			io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
			tunnel(from, to) // ends with the remote's connection
			return
		}
		r.RequestURI = ""
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
		w.WriteHeader(res.StatusCode)
		io.Copy(w, res.Body)
	}))
	return server.URL
}

// socksProxy makes tunnels, see RFC 1928.
func socksProxy(tb testing.TB, used *atomic.Int32) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			used.Add(1)
			wg.Go(func() {
				defer conn.Close()
				var b [10]byte
				// The greeting, with one way to authenticate; then a request for an IPv4 address.
				if _, err := io.ReadFull(conn, b[:3]); err != nil {
					return
				}
				conn.Write([]byte{5, 0})
				if _, err := io.ReadFull(conn, b[:]); err != nil || b[3] != 1 {
					return
				}
				to, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: b[4:8], Port: int(binary.BigEndian.Uint16(b[8:]))})
				if err != nil {
					return
				}
				conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
				tunnel(conn, to)
			})
		}
	})
	tb.Cleanup(func() { listener.Close(); wg.Wait() })
	return "socks5://" + listener.Addr().String()
}

func TestProxiesAreUsedWhereTheyAreConfigured(t *testing.T) {
	for proxy, start := range map[string]func(testing.TB, *atomic.Int32) string{"HTTP": httpProxy, "SOCKS": socksProxy} {
		for _, carrier := range []string{"HTTP", "SSH"} {
			t.Run(carrier+" by way of "+proxy, func(t *testing.T) {
				s := newServer(t)
				first := s.commit("main", "a", "1")
				var used atomic.Int32
				settings := carriers[carrier](t, s)
				settings.Proxy = start(t, &used)
				if err := touchAll(t.Context(), open(t, settings), first); err != nil {
					t.Error(err)
				}
				if used.Load() == 0 {
					t.Error("the proxy was not used")
				}
			})
		}
	}
}

func TestAProxyThatRefusesIsNamed(t *testing.T) {
	s := newServer(t)
	_, settings := serveSSH(t, s)
	settings.Proxy = listen(t, http.NotFoundHandler()).URL
	if _, err := open(t, settings).Refs(t.Context()); remote.KindOf(err) != remote.Unavailable || !strings.Contains(err.Error(), "the proxy refuses a tunnel with status 404") {
		t.Errorf("got %v", err)
	}
}
