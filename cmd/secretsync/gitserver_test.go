package main

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// gitServer serves the repositories of a fleet by stock git, as a forge does. Like a forge it has a
// cache: what it said of a repository's branches, and the packs that it made, it says again till
// somebody pushes there. Without one, two processors are at work for stock git's processes most of
// the time, three of them for each pack, and a proof is one of how fast they start. In the proof at
// full size these let everybody else go first, since a forge is on machines of its own.
type gitServer struct {
	down    atomic.Bool
	gate    atomic.Pointer[func(tenant string)] // passed by each request that doesn't push; nil: there is none
	backend http.Handler

	mu    sync.Mutex
	repos map[string]*servedRepo // by path
}

type servedRepo struct {
	pushes int // begun and ended
	said   map[string]*httptest.ResponseRecorder
}

// serveGit starts the server of the repositories.
func (f *fleet) serveGit() {
	f.Helper()
	backend := &cgi.Handler{
		Path: filepath.Join(f.command("git", "--exec-path"), "git-http-backend"), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + f.git, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"},
	}
	if os.Getenv(fleetTenants) != "" {
		nice, err := exec.LookPath("nice")
		f.must(err)
		backend.Path, backend.Args = nice, []string{backend.Path}
	}
	s := &gitServer{repos: make(map[string]*servedRepo), backend: backend}
	f.gitDown, f.gitGate = &s.down, &s.gate
	server := httptest.NewServer(s)
	f.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	f.forge = server.URL
}

func (s *gitServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.down.Load() {
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
		return
	}
	path, _, _ := strings.Cut(r.URL.Path, ".git/")
	if strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
		s.moved(path)
		defer s.moved(path)
		s.backend.ServeHTTP(w, r)
		return
	}
	if gate := s.gate.Load(); gate != nil {
		(*gate)(strings.TrimPrefix(path, "/"))
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	question := strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("Git-Protocol"), string(body)}, "\n")
	if strings.Contains(question, "git-receive-pack") {
		s.backend.ServeHTTP(w, r)
		return
	}
	answer, pushes := s.said(path, question)
	if answer == nil {
		answer = httptest.NewRecorder()
		s.backend.ServeHTTP(answer, r)
		s.say(path, question, pushes, answer)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // the client may have gone
}

// repo is the repository at a path; the caller holds the lock.
func (s *gitServer) repo(path string) *servedRepo {
	if s.repos[path] == nil {
		s.repos[path] = &servedRepo{said: make(map[string]*httptest.ResponseRecorder)}
	}
	return s.repos[path]
}

func (s *gitServer) said(path, question string) (answer *httptest.ResponseRecorder, pushes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repo(path)
	return repo.said[question], repo.pushes
}

// say keeps an answer, unless somebody pushed since it was asked for.
func (s *gitServer) say(path, question string, pushes int, answer *httptest.ResponseRecorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if repo := s.repo(path); repo.pushes == pushes && answer.Code == http.StatusOK {
		repo.said[question] = answer
	}
}

// moved forgets what was said of a repository's branches: a push there begins, or has ended.
func (s *gitServer) moved(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repo(path)
	repo.pushes++
	clear(repo.said)
}
