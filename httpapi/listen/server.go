package listen

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/net/netutil"
)

// What slow clients are allowed. A request's header is small and its body at
// most 1 MiB; both come fast or are given up.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	maxStreams        = 100 // of one HTTP/2 connection

	// WriteTimeout is how long an answer may take from the end of the request's
	// header.
	WriteTimeout = time.Minute

	defaultConnections = 4096
	defaultPerAddress  = 512
)

// Bounds are how many connections there may be.
type Bounds struct {
	// Connections is how many are held open at once; further ones wait
	// unaccepted. 0: 4096.
	Connections int
	// PerAddress is how many of them one address may hold; further ones are
	// closed. 0: 512.
	PerAddress int
	// Exempt are the addresses that may hold all; nil: none.
	Exempt func(netip.Addr) bool
}

// Bind listens on an address, such as ":8443", within bounds.
func Bind(addr string, b Bounds) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if b.Connections == 0 {
		b.Connections = defaultConnections
	}
	if b.PerAddress == 0 {
		b.PerAddress = defaultPerAddress
	}
	if b.Exempt == nil {
		b.Exempt = func(netip.Addr) bool { return false }
	}
	return newFairListener(netutil.LimitListener(l, b.Connections), b.PerAddress, b.Exempt), nil
}

// NewServer makes a server that bounds what a client may send, and how slowly.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 WriteTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * is answered like the rest
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ConnContext:                  markSecured,
		// What net/http reports are clients that hung up or spoke no TLS.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
