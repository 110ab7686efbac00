package main

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// remoteToken lets into the remote repository. It is to appear nowhere.
const remoteToken = "canary-of-the-remote-repository"

// remoteKey is of the switch in a script's values: whether the remote is down.
type remoteKey struct{}

// startRemote makes the repository of tenant acme a remote one. $REMOTE is its
// folder.
func startRemote(ts *testscript.TestScript, _ bool, _ []string) {
	repository, down, stop, err := worldOf(ts).serveRemote()
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("REMOTE", repository)
	ts.Value(remoteKey{}).(*remoteSwitch).down = down
}

// serveRemote has stock git serve a repository to who has the token, as a forge
// does, till stop is called, and makes it that of tenant acme in the configuration.
func (w *world) serveRemote() (repository string, down *atomic.Bool, stop func(), err error) {
	dir := filepath.Join(w.dir, "remote")
	repository = filepath.Join(dir, "acme.git")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, nil, err
	}
	if out, err := exec.Command("git", "init", "-q", "--bare", "-b", "main", repository).CombinedOutput(); err != nil {
		return "", nil, nil, fmt.Errorf("git init: %w\n%s", err, out)
	}
	programs, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return "", nil, nil, err
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(programs)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=secretsync", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1"},
	}
	down = new(atomic.Bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		switch {
		case down.Load():
			http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
		case password != remoteToken:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, r)
		}
	}))
	of := "  acme:\n    repository: {url: '" + server.URL + "/acme.git', passwordFile: remote.token, pollInterval: 1s}\n"
	config := filepath.Join(w.dir, "secretsync.yaml")
	content, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(config, []byte(strings.Replace(string(content), "  acme:\n", of, 1)), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, "remote.token"), []byte(remoteToken+"\n"), 0o600)
	}
	return repository, down, server.Close, err
}

// remoteSwitch is how a script turns its remote off.
type remoteSwitch struct{ down *atomic.Bool }

// turnRemote has the remote be down, or up again with !.
func turnRemote(ts *testscript.TestScript, neg bool, _ []string) {
	ts.Value(remoteKey{}).(*remoteSwitch).down.Store(!neg)
}
