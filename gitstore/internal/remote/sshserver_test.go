package remote_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"secretsync/gitstore/internal/remote"
)

// sshServer lets one key in and runs stock Git's services, as the forges do.
type sshServer struct {
	tb       testing.TB
	listener net.Listener
	hostKey  atomic.Pointer[ssh.Signer]
	allowed  ssh.PublicKey
	version  string // of the protocol that may be asked for; "0": none
	accepted atomic.Int32
	finished chan string // the commands that have run
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newKey(tb testing.TB) (ssh.Signer, []byte) {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		tb.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func mustWrite(tb testing.TB, path string, content []byte) string {
	tb.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// serveSSH starts a server and returns the settings for acme.git of s.
func serveSSH(tb testing.TB, s *server) (*sshServer, remote.Settings) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	client, private := newKey(tb)
	host, _ := newKey(tb)
	v := &sshServer{tb: tb, listener: listener, allowed: client.PublicKey(), version: "2", finished: make(chan string, 100)}
	v.hostKey.Store(&host)
	v.wg.Go(v.serve)
	tb.Cleanup(func() { v.drop(); listener.Close(); v.drop(); v.wg.Wait() })
	dir := tb.TempDir()
	return v, remote.Settings{
		URL:            "ssh://git@" + listener.Addr().String() + s.dir + "/acme.git",
		SSHKeyFile:     mustWrite(tb, filepath.Join(dir, "key"), private),
		KnownHostsFile: mustWrite(tb, filepath.Join(dir, "known_hosts"), v.knownHosts(host.PublicKey())),
	}
}

func (v *sshServer) knownHosts(key ssh.PublicKey) []byte {
	return []byte(knownhosts.Line([]string{knownhosts.Normalize(v.listener.Addr().String())}, key) + "\n")
}

// drop breaks all connections.
func (v *sshServer) drop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.conns {
		c.Close()
	}
	v.conns = nil
}

func (v *sshServer) serve() {
	for {
		conn, err := v.listener.Accept()
		if err != nil {
			return
		}
		v.accepted.Add(1)
		v.mu.Lock()
		v.conns = append(v.conns, conn)
		v.mu.Unlock()
		v.wg.Go(func() { v.connection(conn) })
	}
}

func (v *sshServer) connection(conn net.Conn) {
	defer conn.Close()
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), v.allowed.Marshal()) {
			return nil, errors.New("another key")
		}
		return nil, nil
	}}
	cfg.AddHostKey(*v.hostKey.Load())
	_, channels, requests, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	v.wg.Go(func() { ssh.DiscardRequests(requests) })
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		v.wg.Go(func() { v.session(channel, requests) })
	}
}

func (v *sshServer) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	env := append(gitEnv(), "GIT_PROTOCOL=")
	for req := range requests {
		switch req.Type {
		case "env":
			var e struct{ Name, Value string }
			if ssh.Unmarshal(req.Payload, &e) == nil && e.Name == "GIT_PROTOCOL" && v.version == "2" {
				env = append(env, "GIT_PROTOCOL="+e.Value)
			}
		case "exec":
			var e struct{ Command string }
			if err := ssh.Unmarshal(req.Payload, &e); err != nil {
				return
			}
			req.Reply(true, nil)
			v.wg.Go(func() { ssh.DiscardRequests(requests) })
			v.run(channel, env, e.Command)
			return
		default:
			req.Reply(false, nil)
		}
	}
}

func (v *sshServer) run(channel ssh.Channel, env []string, command string) {
	cmd := exec.Command("sh", "-c", strings.Replace(command, "git-", "git ", 1))
	cmd.Env, cmd.Stdout, cmd.Stderr = env, channel, channel.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	v.wg.Go(func() { io.Copy(in, channel); in.Close() })
	cmd.Wait()
	v.finished <- command
	status := struct{ Code uint32 }{uint32(cmd.ProcessState.ExitCode())}
	channel.SendRequest("exit-status", false, ssh.Marshal(status))
}

// serveRealSSH starts the OpenSSH server of the machine, if there is one.
func serveRealSSH(tb testing.TB, s *server) remote.Settings {
	tb.Helper()
	program, err := exec.LookPath("sshd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/sshd"); err != nil {
			tb.Skip("no OpenSSH server here")
		}
	}
	who, err := user.Current()
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	client, private := newKey(tb)
	host, hostPrivate := newKey(tb)
	hostFile := mustWrite(tb, filepath.Join(dir, "host"), hostPrivate)
	allowed := mustWrite(tb, filepath.Join(dir, "authorized_keys"), ssh.MarshalAuthorizedKey(client.PublicKey()))
	config := mustWrite(tb, filepath.Join(dir, "sshd_config"), fmt.Appendf(nil,
		"HostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nAcceptEnv GIT_PROTOCOL\nPidFile none\nSetEnv GIT_CONFIG_GLOBAL=/dev/null\nPermitRootLogin yes\n", hostFile, allowed))
	if who.Uid == "0" {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // it refuses to run as root without
			tb.Skip(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	// In inetd's way it needs no port of its own and ends with the connection.
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				file, err := conn.(*net.TCPConn).File()
				if err != nil {
					return
				}
				defer file.Close()
				cmd := exec.Command(program, "-i", "-f", config)
				cmd.Stdin, cmd.Stdout = file, file
				cmd.Run()
			})
		}
	})
	tb.Cleanup(func() { listener.Close(); wg.Wait() })
	return remote.Settings{
		URL:            "ssh://" + who.Username + "@" + listener.Addr().String() + s.dir + "/acme.git",
		SSHKeyFile:     mustWrite(tb, filepath.Join(dir, "key"), private),
		KnownHostsFile: mustWrite(tb, filepath.Join(dir, "known"), []byte(knownhosts.Line([]string{knownhosts.Normalize(listener.Addr().String())}, host.PublicKey())+"\n")),
		Timeout:        time.Minute,
	}
}
