package devstack

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A Proxy stands between secretsync and a Vault or a cluster, passes requests on and fails those that it is told to.
// It speaks HTTP/1.1, so each request that is held up or cut off costs one connection and disturbs no other.
type Proxy struct {
	URL        string
	Kubeconfig string       // of a cluster's proxy: path; the user secretsync, by way of the proxy
	Config     *rest.Config // of a cluster's proxy: the same

	listener *gatedListener
	server   *http.Server
	serving  chan struct{}

	mu       sync.Mutex
	faults   []*Fault
	requests int
}

// A Fault is what happens to requests. Delay comes first; then at most one of Status, Drop and Reset happens in place of
// passing the request on; Truncate cuts an answer that was passed back.
type Fault struct {
	Match    func(*http.Request) bool // nil: every request
	Times    int                      // how many requests it befalls; 0: all until Clear
	Delay    time.Duration
	Status   int         // answer with this status and an empty JSON object
	Header   http.Header // of that answer, such as Retry-After
	Drop     bool        // never answer; the client must give up
	Reset    bool        // reset the connection
	Truncate int         // pass that many bytes of the answer's body, then reset the connection
}

// Proxy starts a proxy in front of Vault. It ends with the stack.
func (v *Vault) Proxy() (*Proxy, error) {
	return newProxy(v.stack, v.Address, http.DefaultTransport.(*http.Transport).Clone(), nil)
}

// ClientVia returns a client that goes through the proxy.
func (v *Vault) ClientVia(p *Proxy, token string) (*vaultapi.Client, error) {
	client, err := v.NewClient(token)
	if err != nil {
		return nil, err
	}
	return client, client.SetAddress(p.URL)
}

// Proxy starts a proxy in front of the cluster, with a certificate of the cluster's authority. TLS ends in it, so whoever
// comes through it is the user secretsync towards the cluster. It ends with the stack.
func (c *Cluster) Proxy() (*Proxy, error) {
	config := rest.CopyConfig(c.Config)
	config.NextProtos = []string{"http/1.1"}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	issued, err := c.authority.server()
	if err != nil {
		return nil, err
	}
	certificate, err := issued.tls()
	if err != nil {
		return nil, err
	}
	p, err := newProxy(c.stack, c.URL, transport, &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"},
	})
	if err != nil {
		return nil, err
	}
	// Each proxy has a file of its own: they are made side by side.
	_, port, err := net.SplitHostPort(strings.TrimPrefix(p.URL, "https://"))
	if err != nil {
		return nil, err
	}
	p.Kubeconfig, p.Config, err = c.writeKubeconfig("proxied-"+port, p.URL, clientcmdapi.AuthInfo{})
	return p, err
}

func newProxy(stack *Stack, target string, transport http.RoundTripper, secure *tls.Config) (*Proxy, error) {
	upstream, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	inner, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(FreePort()))
	if err != nil {
		return nil, err
	}
	p := &Proxy{URL: "http://" + inner.Addr().String(), listener: newGatedListener(inner), serving: make(chan struct{})}
	var listener net.Listener = p.listener
	if secure != nil {
		p.URL = "https://" + inner.Addr().String()
		listener = tls.NewListener(listener, secure)
	}
	quiet := log.New(io.Discard, "", 0)
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorLog:      quiet,
		// What the target does to the proxy's connection the proxy does to the client's.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { reset(w) },
	}
	p.server = &http.Server{Handler: p.handler(forward), ErrorLog: quiet}
	go func() {
		defer close(p.serving)
		p.server.Serve(listener)
	}()
	stack.onClose(p.Close)
	return p, nil
}

// Inject adds a fault. Of several that match a request the first added that isn't used up befalls it.
func (p *Proxy) Inject(fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &fault)
}

// Clear removes all faults. Requests that are being dropped stay so.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Requests returns how many requests have come so far.
func (p *Proxy) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// Freeze lets no byte pass any more, on connections that are open and on new ones, as a broken network does. Nobody is told.
func (p *Proxy) Freeze() { p.listener.gate.close() }

// Thaw ends Freeze; what was held up goes on.
func (p *Proxy) Thaw() { p.listener.gate.open() }

// Disconnect resets the connections that are open. New ones are served.
func (p *Proxy) Disconnect() { p.listener.disconnect() }

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	p.server.Close()
	p.listener.disconnect()
	<-p.serving
}

func (p *Proxy) handler(forward http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault := p.next(r)
		if fault.Delay > 0 {
			timer := time.NewTimer(fault.Delay)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done():
				return
			}
		}
		switch {
		case fault.Drop:
			io.Copy(io.Discard, r.Body) // the server notices that the client left only when the body is read
			<-r.Context().Done()
		case fault.Reset:
			reset(w)
		case fault.Status != 0:
			for key, values := range fault.Header {
				w.Header()[key] = slices.Clone(values)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(fault.Status)
			io.WriteString(w, "{}\n")
		case fault.Truncate > 0:
			forward.ServeHTTP(&truncating{ResponseWriter: w, left: fault.Truncate}, r)
		default:
			forward.ServeHTTP(w, r)
		}
	})
}

// next counts the request and takes the fault that befalls it.
func (p *Proxy) next(r *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	for i, fault := range p.faults {
		if fault.Match != nil && !fault.Match(r) {
			continue
		}
		taken := *fault
		if fault.Times == 1 {
			p.faults = slices.Delete(p.faults, i, i+1)
		} else if fault.Times > 1 {
			fault.Times--
		}
		return taken
	}
	return Fault{}
}

// reset ends the connection without an answer, with a TCP reset.
func reset(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	resetConnection(connection)
}

func resetConnection(connection net.Conn) {
	inner := connection
	if secure, ok := inner.(*tls.Conn); ok {
		inner = secure.NetConn()
	}
	if gated, ok := inner.(*gatedConn); ok {
		inner = gated.Conn
	}
	if plain, ok := inner.(*net.TCPConn); ok {
		plain.SetLinger(0)
	}
	inner.Close()
	connection.Close()
}

var errTruncated = errors.New("truncated on purpose")

// truncating passes so many bytes and then resets the connection.
type truncating struct {
	http.ResponseWriter
	left int
	cut  bool
}

func (t *truncating) Write(content []byte) (int, error) {
	if len(content) <= t.left {
		t.left -= len(content)
		return t.ResponseWriter.Write(content)
	}
	t.ResponseWriter.Write(content[:t.left])
	http.NewResponseController(t.ResponseWriter).Flush()
	t.left, t.cut = 0, true
	reset(t.ResponseWriter)
	return 0, errTruncated
}

// FlushError keeps a flush that comes after the cut from the connection, which
// is gone. It and Write are never called at the same time.
func (t *truncating) FlushError() error {
	if t.cut {
		return errTruncated
	}
	return http.NewResponseController(t.ResponseWriter).Flush()
}

func (t *truncating) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// A gate lets callers pass while it is open.
type gate struct {
	mu     sync.Mutex
	passed chan struct{} // closed while the gate is open
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.passed:
	default:
		close(g.passed)
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.passed:
		g.passed = make(chan struct{})
	default:
	}
}

// pass waits for the gate to be open.
func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	passed := g.passed
	g.mu.Unlock()
	select {
	case <-passed:
		return nil
	case <-ctx.Done():
		return os.ErrClosed
	}
}

// A gatedListener accepts connections whose bytes go through a gate.
type gatedListener struct {
	net.Listener
	gate  *gate
	mu    sync.Mutex
	conns map[*gatedConn]bool
}

func newGatedListener(inner net.Listener) *gatedListener {
	l := &gatedListener{Listener: inner, gate: &gate{passed: make(chan struct{})}, conns: make(map[*gatedConn]bool)}
	l.gate.open()
	return l
}

func (l *gatedListener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &gatedConn{Conn: inner, listener: l, ctx: ctx, cancel: cancel}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = true
	return c, nil
}

func (l *gatedListener) disconnect() {
	l.mu.Lock()
	var open []*gatedConn
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		resetConnection(c)
		c.Close()
	}
}

type gatedConn struct {
	net.Conn
	listener *gatedListener
	ctx      context.Context // ends with the connection
	cancel   context.CancelFunc
}

// Read waits after the bytes came, not before: it may have been called when the gate was still open.
func (c *gatedConn) Read(buffer []byte) (int, error) {
	n, err := c.Conn.Read(buffer)
	if closed := c.listener.gate.pass(c.ctx); closed != nil {
		return 0, closed
	}
	return n, err
}

func (c *gatedConn) Write(content []byte) (int, error) {
	if err := c.listener.gate.pass(c.ctx); err != nil {
		return 0, err
	}
	return c.Conn.Write(content)
}

func (c *gatedConn) Close() error {
	c.cancel()
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
