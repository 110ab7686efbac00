package remote

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/proxy"
)

// dialThrough connects to an address, host:port, by way of a proxy if there is
// one. For HTTP net/http does that itself.
func dialThrough(ctx context.Context, by *url.URL, address string) (net.Conn, error) {
	var direct net.Dialer
	if by == nil {
		return direct.DialContext(ctx, "tcp", address)
	}
	if by.Scheme == "socks5" {
		socks, err := proxy.SOCKS5("tcp", by.Host, nil, &direct)
		if err != nil {
			return nil, err
		}
		return socks.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
	}
	conn, err := direct.DialContext(ctx, "tcp", by.Host)
	if err != nil {
		return nil, fmt.Errorf("connect to the proxy: %w", err)
	}
	if by.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: by.Hostname(), MinVersion: tls.VersionTLS12})
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := connectThrough(conn, address); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// connectThrough asks an HTTP proxy for a tunnel, see RFC 9110, 9.3.6.
func connectThrough(conn net.Conn, address string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: make(http.Header)}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("ask the proxy for a tunnel: %w", err)
	}
	// One byte at a time: what follows the answer is not the proxy's.
	res, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), req)
	if err != nil {
		return fmt.Errorf("ask the proxy for a tunnel: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy refuses a tunnel with status %d", res.StatusCode)
	}
	return nil
}

type oneByte struct{ conn net.Conn }

func (o oneByte) Read(b []byte) (int, error) { return o.conn.Read(b[:min(1, len(b))]) }
