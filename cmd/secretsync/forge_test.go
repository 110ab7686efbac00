package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// statusBoard is as much of a forge as takes commit statuses.
type statusBoard struct {
	mu   sync.Mutex
	told strings.Builder // a line for each: commit, state, description, link

	pulls pullBoard
}

// boards are by their world.
var boards sync.Map

func (b *statusBoard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.pulls.serve(w, r) {
		return
	}
	var status struct {
		State       string
		Description string
		TargetURL   string `json:"target_url"`
	}
	_, commit, ok := strings.Cut(r.URL.Path, "/statuses/")
	if !ok || json.NewDecoder(r.Body).Decode(&status) != nil || r.Header.Get("Authorization") == "" {
		http.NotFound(w, r)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told.WriteString(strings.Join([]string{commit, status.State, status.Description, status.TargetURL}, " ") + "\n")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte("{}"))
}

// startForge has acme's commits told to a forge, and noted.
func startForge(ts *testscript.TestScript, _ bool, _ []string) {
	board := &statusBoard{pulls: pullBoard{comments: make(map[int]string)}}
	boards.Store(worldOf(ts), board)
	server := httptest.NewServer(board)
	ts.Defer(server.Close)
	ts.Check(os.WriteFile(ts.MkAbs("forge-token"), []byte("canary\n"), 0o600))
	config := ts.ReadFile("secretsync.yaml")
	if remote := "repository: {url:"; strings.Contains(config, remote) {
		board.pulls.remote = ts.Getenv("REMOTE")
		config = strings.Replace(config, remote, `repository: {forge: {kind: gitea, repository: "`+server.URL+`/acme/secrets.git", tokenFile: forge-token, checks: true}, url:`, 1)
		ts.Check(os.WriteFile(ts.MkAbs("secretsync.yaml"), []byte(config), 0o600))
		return
	}
	config = "publicURL: https://secretsync.example.org\n" + strings.Replace(config, "  acme:\n", `  acme:
    repository:
      receipts: true
      forge: {kind: gitea, repository: "`+server.URL+`/acme/secrets.git", tokenFile: forge-token, statuses: true, checks: true}
`, 1)
	ts.Check(os.WriteFile(ts.MkAbs("secretsync.yaml"), []byte(config), 0o600))
}

// awaitTold waits till the forge was told a line that matches.
func awaitTold(ts *testscript.TestScript, _ bool, args []string) {
	kept, ok := boards.Load(worldOf(ts))
	if !ok {
		ts.Fatalf("forge first")
	}
	board, pattern := kept.(*statusBoard), regexp.MustCompile("(?m)"+args[0])
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var told string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		board.mu.Lock()
		told = board.told.String()
		board.mu.Unlock()
		if pattern.MatchString(told) {
			return
		}
	}
	ts.Fatalf("the forge was not told %s, but\n%s", args[0], told)
}

// awaitNote waits till the notes tell a pattern of a commit.
func awaitNote(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[1])
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if err := ts.Exec("git", "-C", ts.Getenv("REPOSITORY"), "log", "-1", "--notes=secretsync", args[0]); err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("the note on %s does not tell %s:\n%s", args[0], args[1], ts.ReadFile("stdout"))
}

// checkOnce checks that the forge was told once that a commit is live.
func checkOnce(ts *testscript.TestScript, _ bool, args []string) {
	kept, _ := boards.Load(worldOf(ts))
	board := kept.(*statusBoard)
	board.mu.Lock()
	defer board.mu.Unlock()
	if n := strings.Count(board.told.String(), args[0]+" success "); n != 1 {
		ts.Fatalf("the forge was told %d times of %s:\n%s", n, args[0], board.told.String())
	}
}
