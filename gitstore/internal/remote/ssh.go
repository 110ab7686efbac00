package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"secretsync/gitstore/internal/remote/credential"
	"secretsync/gitstore/internal/remote/wire"
)

// idleConnection is for how long a connection is kept that nobody uses: longer
// than polls are apart.
const idleConnection = 2 * time.Minute

// sshCarrier speaks with a server's services over SSH. It keeps one connection,
// on which each conversation has a channel. The connection is made anew when it
// fails, when an exchange on it stalls, and when key or known hosts are others.
type sshCarrier struct {
	remote *Remote
	files  *credential.SSHFiles
	wg     sync.WaitGroup // the goroutines of connections and conversations

	dialing chan struct{} // held by who makes a connection
	mu      sync.Mutex
	current *sshConnection          // nil: none
	live    map[*sshConnection]bool // those that have not ended, replaced ones too
}

func newSSHCarrier(r *Remote) *sshCarrier {
	s := r.endpoint.settings
	files := credential.NewSSHFiles(credential.SSH{
		Key: credential.File(s.SSHKeyFile), Passphrase: credential.File(s.SSHPassphraseFile), KnownHosts: credential.File(s.KnownHostsFile),
	})
	return &sshCarrier{remote: r, files: files, dialing: make(chan struct{}, 1), live: make(map[*sshConnection]bool)}
}

func (c *sshCarrier) stateless() bool { return false }

func (c *sshCarrier) close() {
	c.mu.Lock()
	for conn := range c.live {
		conn.Close()
	}
	c.current = nil
	c.mu.Unlock()
	c.wg.Wait()
}

// sshConnection is a connection whose goroutine closes it when it is idle.
type sshConnection struct {
	*ssh.Client
	login credential.Fingerprint
	used  atomic.Int64  // the time of the last use
	open  atomic.Int32  // conversations
	ended chan struct{} // closed when it is broken
}

// address returns host:port.
func (e Endpoint) address() string {
	if _, _, err := net.SplitHostPort(e.host); err == nil {
		return e.host
	}
	return net.JoinHostPort(strings.Trim(e.host, "[]"), "22")
}

// connection returns the one there is, or makes it.
func (c *sshCarrier) connection(x *exchange) (conn *sshConnection, fresh bool, err error) {
	login, err := c.files.Get(false)
	if err != nil {
		return nil, false, &credentialError{err}
	}
	select {
	case c.dialing <- struct{}{}:
		defer func() { <-c.dialing }()
	case <-x.ctx.Done():
		return nil, false, x.ctx.Err()
	}
	c.mu.Lock()
	conn = c.current
	c.mu.Unlock()
	if conn != nil && conn.login == login.Fingerprint {
		select {
		case <-conn.ended:
		default:
			return conn, false, nil
		}
	}
	conn, err = c.dial(x, login)
	if err != nil && isRefusedKey(err) {
		// The files may be others that look the same.
		if again, readErr := c.files.Get(true); readErr == nil && again.Fingerprint != login.Fingerprint {
			conn, err = c.dial(x, again)
		}
	}
	if err != nil {
		return nil, false, err
	}
	// The one before is not closed: conversations may be going on there. It is
	// idle from now on.
	c.mu.Lock()
	c.current = conn
	c.mu.Unlock()
	return conn, true, nil
}

func isRefusedKey(err error) bool {
	return err != nil && strings.Contains(err.Error(), "unable to authenticate")
}

func (c *sshCarrier) dial(x *exchange, login credential.SSHLogin) (*sshConnection, error) {
	over := x.wait()
	defer over(0)
	address := c.remote.endpoint.address()
	tcp, err := dialThrough(x.ctx, c.remote.endpoint.proxy, address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(x.ctx, func() { tcp.Close() })
	defer stop()
	inner, channels, requests, err := ssh.NewClientConn(tcp, address, login.Config(c.remote.endpoint.user, address))
	if err != nil {
		tcp.Close()
		return nil, c.explainHandshake(address, err)
	}
	conn := &sshConnection{Client: ssh.NewClient(inner, channels, requests), login: login.Fingerprint, ended: make(chan struct{})}
	conn.used.Store(c.remote.hosts.clock.Now().UnixNano())
	c.mu.Lock()
	c.live[conn] = true
	c.mu.Unlock()
	c.wg.Go(func() {
		conn.Wait()
		c.mu.Lock()
		delete(c.live, conn)
		c.mu.Unlock()
		close(conn.ended)
	})
	c.wg.Go(func() { c.closeWhenIdle(conn) })
	return conn, nil
}

// explainHandshake tells a refused key and the keys of hosts from other faults.
func (c *sshCarrier) explainHandshake(address string, err error) error {
	if key, ok := errors.AsType[*credential.HostKeyError](err); ok {
		return key
	}
	if none, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok && none.What == "host key" {
		return &credential.HostKeyError{Changed: true, Host: address, Found: "none of the kinds that are known", File: credential.File(c.remote.endpoint.settings.KnownHostsFile)}
	}
	if isRefusedKey(err) {
		return &Error{Kind: Denied, Remote: c.remote.String(),
			Cause: "the key in sshKeyFile is refused; add its public half there, or use the right user"}
	}
	return err
}

func (c *sshCarrier) closeWhenIdle(conn *sshConnection) {
	clock := c.remote.hosts.clock
	timer := clock.NewTimer(idleConnection)
	defer timer.Stop()
	for {
		select {
		case <-conn.ended:
			return
		case <-timer.C():
		}
		idle := clock.Since(time.Unix(0, conn.used.Load()))
		if conn.open.Load() == 0 && idle >= idleConnection {
			conn.Close()
			continue // until it has ended
		}
		timer.Reset(max(idleConnection-idle, time.Second))
	}
}

func (c *sshCarrier) open(x *exchange, service string) (conversation, error) {
	conn, fresh, err := c.connection(x)
	if err != nil {
		return nil, err
	}
	s, err := c.start(x, conn, service)
	if err != nil && !fresh && x.ctx.Err() == nil {
		// The connection was kept for too long. Nothing was asked on it yet.
		conn.Close()
		<-conn.ended
		if conn, _, err = c.connection(x); err != nil {
			return nil, err
		}
		s, err = c.start(x, conn, service)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// sshConversation is with one service that runs for it.
type sshConversation struct {
	carrier *sshCarrier
	conn    *sshConnection
	session *ssh.Session
	in      io.Writer
	out     io.Reader
	answer  *incoming
	reader  *wire.Reader
	once    sync.Once

	listened chan struct{} // closed when the service has said all on its standard error
	words    []byte        // the beginning of that
}

func (c *sshCarrier) start(x *exchange, conn *sshConnection, service string) (*sshConversation, error) {
	over := x.wait()
	defer over(0)
	defer conn.guard(x)()
	session, err := conn.NewSession()
	if err != nil {
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	s := &sshConversation{carrier: c, conn: conn, session: session, listened: make(chan struct{})}
	in, err1 := session.StdinPipe()
	out, err2 := session.StdoutPipe()
	stderr, err3 := session.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		session.Close()
		return nil, err
	}
	if service == uploadPack {
		// It is not waited for: a server that doesn't take it speaks version 0.
		env := struct{ Name, Value string }{"GIT_PROTOCOL", "version=2"}
		if _, err := session.SendRequest("env", false, ssh.Marshal(env)); err != nil {
			session.Close()
			return nil, err
		}
	}
	if err := session.Start(service + " " + quoteForShell(c.remote.endpoint.path)); err != nil {
		session.Close()
		return nil, fmt.Errorf("start %s: %w", service, err)
	}
	s.in, s.out = in, out
	conn.open.Add(1)
	conn.used.Store(x.clock.Now().UnixNano())
	c.wg.Go(func() { s.listen(stderr) })
	return s, nil
}

// quoteForShell makes one word of a path for the shell that servers start.
func quoteForShell(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// guard breaks the connection if an exchange stalls or is given up: SSH knows no
// other way out of what waits.
func (conn *sshConnection) guard(x *exchange) (stop func() bool) {
	return context.AfterFunc(x.ctx, func() {
		if context.Cause(x.ctx) != errEnded {
			conn.Close()
		}
	})
}

func (s *sshConversation) listen(stderr io.Reader) {
	defer close(s.listened)
	var buf [512]byte
	for {
		n, err := stderr.Read(buf[:])
		s.words = append(s.words, buf[:min(n, 1<<10-len(s.words))]...)
		if err != nil {
			return
		}
	}
}

// read returns the reader of what the service says, as part of an exchange.
func (s *sshConversation) read(x *exchange, limit int64) *wire.Reader {
	s.conn.guard(x)
	if s.reader == nil {
		s.answer = &incoming{from: s.out, what: "the answer"}
		s.reader = wire.NewReader(s.answer)
	}
	s.answer.x, s.answer.limit, s.answer.read = x, limit, 0
	return s.reader
}

func (s *sshConversation) hear(x *exchange, limit int64) (*wire.Reader, error) {
	return s.read(x, limit), nil
}

func (s *sshConversation) ask(x *exchange, q request) (*wire.Reader, bool, error) {
	answer := s.read(x, q.limit)
	if err := s.send(x, q); err != nil {
		// The service may have ended with words, or with an answer.
		if _, local := errors.AsType[*packError](err); local || q.pack == nil {
			return nil, true, err
		}
	}
	return answer, true, nil
}

func (s *sshConversation) send(x *exchange, q request) error {
	over := x.wait()
	n, err := s.in.Write(q.message)
	over(n)
	if err != nil || q.pack == nil {
		return err
	}
	from, buf := q.pack(), make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			over := x.wait()
			_, err := s.in.Write(buf[:n])
			over(n)
			if err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &packError{err}
		}
	}
}

// explain adds what the service has said on its standard error, if it ended
// instead of answering.
func (s *sshConversation) explain(err error) error {
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	// Both outputs end together, or the connection is broken.
	select {
	case <-s.listened:
	case <-s.answer.x.ctx.Done():
		return err
	}
	if len(s.words) == 0 {
		return err
	}
	return &wire.ServerError{Words: string(s.words)}
}

func (s *sshConversation) close() {
	s.once.Do(func() {
		s.session.Close()
		s.conn.used.Store(s.carrier.remote.hosts.clock.Now().UnixNano())
		s.conn.open.Add(-1)
	})
}
