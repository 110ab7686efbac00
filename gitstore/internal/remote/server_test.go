package remote_test

import (
	"bytes"
	"crypto/sha1" // Git's packs end with it.
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/remote"
)

// server is a folder of repositories that stock Git serves.
type server struct {
	tb  testing.TB
	dir string
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	s := &server{tb: tb, dir: tb.TempDir()}
	s.git("init", "-q", "--bare", "-b", "main", "acme.git")
	s.git("-C", "acme.git", "config", "http.receivepack", "true")
	return s
}

func gitEnv() []string {
	return append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		"GIT_AUTHOR_DATE=1700000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0000")
}

func (s *server) git(args ...string) string {
	s.tb.Helper()
	return s.gitIn(nil, args...)
}

func (s *server) gitIn(in []byte, args ...string) string {
	s.tb.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir, gitEnv(), bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.tb.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// commit adds a commit to a branch of acme.git and returns it.
func (s *server) commit(branch, path, content string) object.Hash {
	s.tb.Helper()
	var in strings.Builder
	fmt.Fprintf(&in, "commit refs/heads/%s\ncommitter a <a@example.org> 1700000000 +0000\ndata 1\nm\n", branch)
	if s.git("-C", "acme.git", "for-each-ref", "refs/heads/"+branch) != "" {
		fmt.Fprintf(&in, "from refs/heads/%s^0\n", branch)
	}
	fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
	s.gitIn([]byte(in.String()), "-C", "acme.git", "fast-import", "--quiet")
	return s.head(branch)
}

func (s *server) head(branch string) object.Hash {
	s.tb.Helper()
	return mustHash(s.tb, s.git("-C", "acme.git", "rev-parse", "refs/heads/"+branch))
}

func mustHash(tb testing.TB, digits string) object.Hash {
	tb.Helper()
	id, ok := object.ParseHash([]byte(digits))
	if !ok {
		tb.Fatalf("%q is no hash", digits)
	}
	return id
}

// hook makes a hook of acme.git.
func (s *server) hook(name, script string) {
	s.tb.Helper()
	path := filepath.Join(s.dir, "acme.git", "hooks", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		s.tb.Fatal(err)
	}
}

// handler serves the folder with git http-backend. As the servers before it do,
// it gathers what comes in pieces, which net/http/cgi does not take.
func (s *server) handler() http.Handler {
	root := strings.TrimSpace(s.git("--exec-path"))
	backend := &cgi.Handler{
		Path:   filepath.Join(root, "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + s.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C"},
		Stderr: io.Discard,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength < 0 {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		}
		backend.ServeHTTP(w, r)
	})
}

// quiet is for what servers log of faults that tests make.
var quiet = log.New(io.Discard, "", 0)

// listen serves over HTTP on this machine.
func listen(tb testing.TB, h http.Handler, states ...func(net.Conn, http.ConnState)) *httptest.Server {
	tb.Helper()
	s := httptest.NewUnstartedServer(h)
	for _, state := range states {
		s.Config.ConnState = state
	}
	s.Config.ErrorLog = quiet
	s.Start()
	tb.Cleanup(s.Close)
	return s
}

// emptyPack is a pack without objects.
func emptyPack() io.Reader {
	content := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")
	sum := sha1.Sum(content)
	return bytes.NewReader(append(content, sum[:]...))
}

// open returns the remote at settings, with hosts of its own.
func open(tb testing.TB, s remote.Settings) *remote.Remote {
	tb.Helper()
	hosts := remote.NewHosts(remote.HostsConfig{})
	tb.Cleanup(hosts.Close)
	return openAt(tb, hosts, s)
}

// openAt returns the remote at settings, with hosts that it shares.
func openAt(tb testing.TB, hosts *remote.Hosts, s remote.Settings) *remote.Remote {
	tb.Helper()
	e, err := remote.ParseEndpoint(s)
	if err != nil {
		tb.Fatal(err)
	}
	r := remote.New(e, hosts)
	tb.Cleanup(r.Close)
	return r
}

// clone is a repository of our own, that packs are taken into and made from.
type clone struct{ *server }

func newClone(tb testing.TB) *clone { return &clone{newServer(tb)} }

// take indexes a pack that was fetched.
func (c *clone) take(pack io.Reader) error {
	content, err := io.ReadAll(pack)
	if err != nil {
		return err
	}
	c.tb.Helper()
	c.gitIn(content, "-C", "acme.git", "index-pack", "--stdin", "--strict")
	return nil
}

// pack makes a pack of what is reachable from new and not from old.
func (c *clone) pack(new, old object.Hash) func() io.Reader {
	c.tb.Helper()
	revs := new.String() + "\n"
	if !old.IsZero() {
		revs += "^" + old.String() + "\n"
	}
	cmd := exec.Command("git", "-C", "acme.git", "pack-objects", "--revs", "--stdout", "-q")
	cmd.Dir, cmd.Env, cmd.Stdin = c.dir, gitEnv(), strings.NewReader(revs)
	out, err := cmd.Output()
	if err != nil {
		c.tb.Fatal(err)
	}
	return func() io.Reader { return bytes.NewReader(out) }
}
