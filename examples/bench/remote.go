package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"secretsync/gitstore"
)

func init() {
	register("remote-write", remoteWrite)
	register("fetch-1000-tenants", fetchTenants)
}

// A gitServer is stock git http-backend over one bare repository, whichever name it is asked for by, or over those of a
// folder by their names.
type gitServer struct {
	*httptest.Server
	gitDir string
	each   bool // those of the folder, by their names

	requests atomic.Int64
	mu       sync.Mutex
	refs     map[string][]byte // answers to questions for references, if they are kept
}

func newGitServer(ctx context.Context, dir string, definitions int) (*gitServer, error) {
	gitDir := filepath.Join(dir, "served.git")
	if err := git(ctx, ".", "init", "-q", "--bare", "-b", "main", gitDir); err != nil {
		return nil, err
	}
	if err := git(ctx, gitDir, "config", "http.receivepack", "true"); err != nil {
		return nil, err
	}
	if err := fastImport(ctx, gitDir, definitions, 0); err != nil {
		return nil, err
	}
	return serveGit(ctx, dir)
}

// serveGit serves dir/served.git, unless it is told to serve each of dir.
func serveGit(ctx context.Context, dir string) (*gitServer, error) {
	s := &gitServer{gitDir: filepath.Join(dir, "served.git")}
	programs, err := exec.CommandContext(ctx, "git", "--exec-path").Output()
	if err != nil {
		return nil, err
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(programs)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1"},
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if !s.each {
			_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
			r.URL.Path = "/served.git/" + rest
		}
		s.serve(w, r, backend)
	}))
	return s, nil
}

// serve answers from what is kept where that is wanted: a server that spends nothing.
func (s *gitServer) serve(w http.ResponseWriter, r *http.Request, backend http.Handler) {
	s.mu.Lock()
	keep := s.refs != nil && r.Method == http.MethodPost
	s.mu.Unlock()
	if !keep {
		backend.ServeHTTP(w, r)
		return
	}
	question, err := io.ReadAll(r.Body)
	if err != nil || !bytes.Contains(question, []byte("command=ls-refs")) {
		r.Body = io.NopCloser(bytes.NewReader(question))
		backend.ServeHTTP(w, r)
		return
	}
	asked := r.URL.Path + "\n" + string(question)
	s.mu.Lock()
	answer, known := s.refs[asked]
	s.mu.Unlock()
	if !known {
		r.Body = io.NopCloser(bytes.NewReader(question))
		recorded := httptest.NewRecorder()
		backend.ServeHTTP(recorded, r)
		answer = recorded.Body.Bytes()
		if recorded.Code != http.StatusOK {
			w.WriteHeader(recorded.Code)
			return
		}
		s.mu.Lock()
		s.refs[asked] = answer
		s.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	_, _ = w.Write(answer)
}

// remoteOf is the settings of a tenant whose repository is the served one.
func (s *gitServer) remoteOf(tenant string) (gitstore.Settings, error) {
	remote, err := gitstore.ParseRemote(gitstore.RemoteSettings{URL: s.URL + "/" + tenant + ".git"}, 24*time.Hour)
	return gitstore.Settings{Remote: remote}, err
}

// fetched waits till a mirror is what the server holds.
func fetched(ctx context.Context, r *gitstore.Repository) error {
	for {
		if f := r.Freshness(); f.Confirmed && f.Failing == nil && r.Snapshot().Read() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// remoteWrite: commits of 16 writers that the remote has when they are answered.
func remoteWrite(ctx context.Context, env *Env) ([]Result, error) {
	const writers = 16
	server, err := newGitServer(ctx, env.Dir, storeDefinitions)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	w := &storeWorld{dir: filepath.Join(env.Dir, "store")}
	if w.tenant, err = gitstore.ParseTenantName("bench"); err != nil {
		return nil, err
	}
	if err := w.nameDefinitions(storeDefinitions); err != nil {
		return nil, err
	}
	settings, err := server.remoteOf("bench")
	if err != nil {
		return nil, err
	}
	if w.store, err = gitstore.Open(gitstore.Config{Dir: w.dir}); err != nil {
		return nil, err
	}
	defer w.close()
	w.store.Configure(w.tenant, settings)
	if w.repository, err = openRepository(ctx, w.store, w.tenant); err != nil && w.repository == nil {
		return nil, err
	}
	if err := fetched(ctx, w.repository); err != nil {
		return nil, err
	}
	clone := filepath.Join(env.Dir, "clone")
	if err := git(ctx, env.Dir, "clone", "-q", "--bare", server.URL+"/bench.git", clone); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var floors, all []float64
	timed := func(took *[]float64, do func(context.Context, int) error) func(context.Context, int) error {
		return func(ctx context.Context, worker int) error {
			begun := time.Now()
			err := do(ctx, worker)
			mu.Lock()
			defer mu.Unlock()
			*took = append(*took, float64(time.Since(begun).Microseconds())/1000)
			return err
		}
	}
	floor, ours, err := alternate(ctx, 3,
		func(ctx context.Context) (float64, error) {
			return rate(ctx, 3*time.Second, 1, timed(&floors, func(ctx context.Context, _ int) error { return pushByScript(ctx, clone, w.turn.Add(1)) }))
		},
		func(ctx context.Context) (float64, error) {
			return rate(ctx, 3*time.Second, writers, timed(&all, w.write))
		})
	if err != nil {
		return nil, err
	}
	const note = "1,000 definitions, 16 writers, answered when git http-backend on loopback has it; floor: one writer with git fetch, commit-tree and push by script"
	return []Result{
		{Name: "remote-write", Value: ours, Floor: floor, Unit: "commits/s", Note: note},
		{Name: "remote-write-p50", Value: median(all), Floor: median(floors), Unit: "ms", Note: "p50 of one write, " + note},
	}, nil
}

// pushByScript is what a person's script does to change one definition.
func pushByScript(ctx context.Context, clone string, n int64) error {
	const script = `set -e
git fetch -q "$1" main
export GIT_INDEX_FILE="$PWD/bench-index"
git read-tree FETCH_HEAD
blob=$(printf '%s' "$3" | git hash-object -w --stdin)
git update-index --add --cacheinfo "100644,$blob,secrets/$2.yaml"
commit=$(git commit-tree -p FETCH_HEAD -m "Change $2" "$(git write-tree)")
git push -q "$1" "$commit:refs/heads/main"`
	name := definitionName(int(n) % storeDefinitions)
	file := fmt.Sprintf("name: %s\nsecretPath: bench/%s\nsync:\n  - cluster: production\n    namespace: scripted-%d\n", name, name, n)
	command := exec.CommandContext(ctx, "sh", "-c", script, "sh", "origin", name, file)
	command.Dir = clone
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@localhost", "GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@localhost")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("push by script: %w\n%s", err, out)
	}
	return nil
}

// fetchTenants: a round in which nothing has moved in 1,000 remote repositories.
func fetchTenants(ctx context.Context, env *Env) ([]Result, error) {
	const tenants = 1000
	server, err := newGitServer(ctx, env.Dir, 10)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	store, err := gitstore.Open(gitstore.Config{Dir: filepath.Join(env.Dir, "store"), PollInterval: 24 * time.Hour})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	var repositories []*gitstore.Repository
	for i := range tenants {
		tenant, err := gitstore.ParseTenantName(fmt.Sprintf("t%04d", i))
		if err != nil {
			return nil, err
		}
		settings, err := server.remoteOf(tenant.String())
		if err != nil {
			return nil, err
		}
		store.Configure(tenant, settings)
		r, err := store.Repository(tenant)
		if err != nil {
			return nil, err
		}
		repositories = append(repositories, r)
	}
	for _, r := range repositories {
		if err := fetched(ctx, r); err != nil {
			return nil, err
		}
	}
	server.mu.Lock()
	server.refs = make(map[string][]byte)
	server.mu.Unlock()
	round := func(begin func()) (cpu float64, requests int64, err error) {
		before, from := processorSeconds(), server.requests.Load()
		begin()
		for server.requests.Load() < from+tenants {
			select {
			case <-ctx.Done():
				return 0, 0, ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		time.Sleep(200 * time.Millisecond) // the last ones end
		return processorSeconds() - before, server.requests.Load() - from, nil
	}
	hint := func() {
		for _, r := range repositories {
			r.Hint()
		}
	}
	if _, _, err := round(hint); err != nil { // connections are made, and answers kept
		return nil, err
	}
	var question string
	server.mu.Lock()
	for q := range server.refs {
		_, question, _ = strings.Cut(q, "\n")
	}
	server.mu.Unlock()
	ask := func() {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range tenants / 8 {
					request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/t.git/git-upload-pack", strings.NewReader(question))
					if err != nil {
						return
					}
					request.Header.Set("Content-Type", "application/x-git-upload-pack-request")
					request.Header.Set("Git-Protocol", "version=2")
					answer, err := http.DefaultClient.Do(request)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
			})
		}
		group.Wait()
	}
	var requests int64
	floor, ours, err := alternate(ctx, 5,
		func(context.Context) (float64, error) { cpu, _, err := round(ask); return cpu, err },
		func(context.Context) (float64, error) {
			cpu, n, err := round(hint)
			requests = n
			return cpu, err
		})
	if err != nil {
		return nil, err
	}
	return []Result{
		{Name: "fetch-1000-tenants", Value: ours, Floor: floor, Unit: "CPU s", Note: "a round over 1,000 remote repositories in which nothing moved, server included; floor: one bare request for references each"},
		{Name: "fetch-1000-tenants-requests", Value: float64(requests), Floor: tenants, Unit: "requests", Note: "of the same round"},
	}, nil
}

// processorSeconds is what this process has spent, without those it started.
func processorSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	of := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return of(u.Utime) + of(u.Stime)
}
