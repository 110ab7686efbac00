package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// pullBoard is as much of Gitea as has pull requests and comments on them.
type pullBoard struct {
	mu       sync.Mutex
	pulls    []map[string]any
	comments map[int]string // by pull request: there is one
	written  int
	remote   string // the repository; empty: pull requests can't be opened through the API
}

// serve answers what is asked of pull requests; false: it is something else.
func (b *pullBoard) serve(w http.ResponseWriter, r *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	last := parts[len(parts)-1]
	answer := func(status int, v any) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
		return true
	}
	if done, status, told := b.propose(r); done {
		return answer(status, told)
	}
	var sent struct{ Body string }
	if r.Method != http.MethodGet {
		if !strings.Contains(r.URL.Path, "comments") || json.NewDecoder(r.Body).Decode(&sent) != nil {
			return false
		}
	}
	switch {
	case last == "user":
		return answer(200, map[string]string{"login": "secretsync"})
	case last == "pulls":
		return answer(200, b.pulls)
	case last == "comments" && len(parts) > 2:
		number, _ := strconv.Atoi(parts[len(parts)-2])
		if r.Method == http.MethodPost {
			b.comments[number] = sent.Body
			b.written++
			return answer(201, map[string]any{"id": number})
		}
		list := []map[string]any{}
		if body, ok := b.comments[number]; ok {
			list = append(list, map[string]any{"id": number, "body": body, "user": map[string]string{"login": "secretsync"}})
		}
		return answer(200, list)
	case r.Method == http.MethodPatch:
		number, _ := strconv.Atoi(last)
		b.comments[number] = sent.Body
		b.written++
		return answer(200, map[string]any{"id": number})
	}
	return false
}

// openPull has the forge tell of a pull request: NUMBER COMMIT [fork]. Opened again
// it has another head.
func openPull(ts *testscript.TestScript, _ bool, args []string) {
	b := boardOf(ts)
	number, err := strconv.Atoi(args[0])
	ts.Check(err)
	from := "acme/secrets"
	if len(args) > 2 {
		from = "stranger/secrets"
	}
	pull := map[string]any{
		"number": number, "title": "a change", "state": "open", "html_url": fmt.Sprintf("https://forge.example.org/acme/secrets/pulls/%d", number),
		"head": map[string]any{"ref": "feature", "sha": args[1], "repo": map[string]string{"full_name": from}},
		"base": map[string]any{"ref": "main", "repo": map[string]string{"full_name": "acme/secrets"}},
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.pulls {
		if b.pulls[i]["number"] == number {
			b.pulls[i] = pull
			return
		}
	}
	b.pulls = append(b.pulls, pull)
}

// awaitComment waits till the comment on a pull request matches: NUMBER PATTERN; and
// that it is the only one.
func awaitComment(ts *testscript.TestScript, _ bool, args []string) {
	b := boardOf(ts)
	number, err := strconv.Atoi(args[0])
	ts.Check(err)
	pattern := regexp.MustCompile("(?m)" + args[1])
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var text string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		b.mu.Lock()
		text = b.comments[number]
		b.mu.Unlock()
		if pattern.MatchString(text) {
			return
		}
	}
	ts.Fatalf("the comment on %d is not %s, but\n%s", number, args[1], text)
}

func boardOf(ts *testscript.TestScript) *pullBoard {
	kept, ok := boards.Load(worldOf(ts))
	if !ok {
		ts.Fatalf("forge first")
	}
	return &kept.(*statusBoard).pulls
}
