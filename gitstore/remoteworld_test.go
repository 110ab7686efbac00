package gitstore

import (
	"errors"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// farStory is a story whose tenant's repository is a remote one: a bare repository
// that stock Git serves over HTTP. A clone of it pushes to it, too.
type farStory struct {
	*story
	served *server
}

// server serves the folder of a bare repository, acme.git.
type server struct {
	testing.TB
	dir string
	url string

	mu   sync.Mutex
	hook func(w http.ResponseWriter, r *http.Request, next http.Handler) // nil: all goes through
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{TB: t, dir: t.TempDir()}
	s.make()
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Stderr: io.Discard,
		Env:    []string{"GIT_PROJECT_ROOT=" + s.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"},
	}
	over := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		hook := s.hook
		s.mu.Unlock()
		if hook != nil {
			hook(w, r, backend)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(over.Close)
	s.url = over.URL + "/acme.git"
	return s
}

func (s *server) repo() string { return filepath.Join(s.dir, "acme.git") }

// make has an empty repository be there.
func (s *server) make() {
	s.Helper()
	for _, args := range [][]string{{"init", "-q", "--bare", "-b", "main", s.repo()}, {"--git-dir", s.repo(), "config", "http.receivepack", "true"}} {
		if out, err := runGit(s.Context(), s.dir, args...); err != nil {
			s.Fatal(out)
		}
	}
}

// through puts something between who asks and the server; nil: nothing.
func (s *server) through(hook func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// down has the server answer nothing but that it is unavailable.
func (s *server) down() {
	s.through(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
	})
}

// isPush tells the request by which we push.
func isPush(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack") && strings.Contains(r.UserAgent(), "secretsync")
}

func (s *server) git(args ...string) string {
	s.Helper()
	out, err := runGit(s.Context(), s.repo(), args...)
	if err != nil {
		s.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// remote is the server as a tenant's settings have it. A story that is not about a server that
// hangs gives it all the time that a busy machine may take.
func (s *server) remote(poll time.Duration) Remote {
	s.Helper()
	r, err := ParseRemote(RemoteSettings{URL: s.url, Timeout: time.Minute}, poll)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// soonEnough is a poll interval at which a test need not ask for a look.
const soonEnough = 50 * time.Millisecond

func newFarStory(t testing.TB) *farStory {
	t.Helper()
	s := &farStory{story: &story{TB: t, dir: t.TempDir()}, served: newServer(t)}
	s.openFar(Config{}, soonEnough)
	t.Cleanup(func() { s.close() })
	return s
}

func (s *farStory) openFar(cfg Config, poll time.Duration) {
	s.Helper()
	if cfg.Dir = s.dir; cfg.PollInterval == 0 {
		cfg.PollInterval = soonEnough
	}
	store, err := Open(cfg)
	s.must(err)
	s.store = store
	s.store.Configure(mustParse(ParseTenantName("acme")), Settings{Remote: s.served.remote(poll)})
	s.repo = s.opened("acme")
}

// clone is a clone of the remote.
func (s *farStory) clone() *workTree {
	s.Helper()
	dir := s.TempDir()
	s.git(dir, "clone", "-q", s.served.url, "work")
	dir = filepath.Join(dir, "work")
	s.git(dir, "checkout", "-q", "-B", "main")
	return &workTree{story: s.story, dir: dir}
}

// begin has the remote hold a commit, and waits till it is seen.
func (s *farStory) begin(names ...string) *workTree {
	s.Helper()
	c := s.clone()
	for _, n := range names {
		c.write("secrets/"+n+".yaml", fileOf(n, "default"))
	}
	c.write("README.md", "hello")
	s.at(c.pushCommit("begin"))
	return c
}

// fresh waits till the freshness is as wanted, and what was fetched is what the snapshot shows.
func (s *farStory) fresh(wanted func(Freshness) bool) Freshness {
	s.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		f := s.repo.Freshness()
		if wanted(f) && s.repo.Current() == current(f) {
			return f
		}
		if time.Now().After(deadline) {
			s.Fatalf("freshness stays %+v; problems: %s", f, s.problems())
		}
	}
}

func failing(f Freshness) bool { return f.Failing != nil && !errors.Is(f.Failing, ErrOpening) }
func current(f Freshness) bool { return f.Failing == nil && f.Confirmed }

func (s *farStory) remoteHead() string { return s.served.git("rev-parse", "refs/heads/main") }
