package forge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// A conversation is a forge that can't run here: what it was seen, or is
// documented, to answer. It is a file under testdata/api, in which requests and
// answers take turns. A request that differs from the next one in the file in
// anything but its usual header is a mistake.
type conversation struct {
	t      *testing.T
	server *httptest.Server

	mu    sync.Mutex
	turns []turn
	next  int
	usual http.Header // each request has these
}

type turn struct {
	what    string
	request message
	answer  message
}

// message is "first line", header fields, an empty line and a body.
type message struct {
	first  string
	header http.Header
	body   []byte
}

func parseMessage(data []byte) message {
	head, body, _ := strings.Cut(string(data), "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	m := message{first: lines[0], header: http.Header{}, body: bytes.TrimSpace([]byte(body))}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		m.header.Add(name, strings.TrimSpace(value))
	}
	return m
}

func startConversation(t *testing.T, file string) *conversation {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "api", file))
	if err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse(data)
	c := &conversation{t: t, usual: parseMessage(append([]byte("usual\n"), archive.Comment...)).header}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		c.turns = append(c.turns, turn{archive.Files[i].Name, parseMessage(archive.Files[i].Data), parseMessage(archive.Files[i+1].Data)})
	}
	c.server = httptest.NewServer(c)
	t.Cleanup(func() {
		c.server.Close()
		if c.next < len(c.turns) && !t.Failed() {
			t.Errorf("%s: was not asked for: %s (%s)", file, c.turns[c.next].request.first, c.turns[c.next].what)
		}
	})
	return c
}

func (c *conversation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := fmt.Sprintf("%s %s", r.Method, r.URL.RequestURI())
	if c.next == len(c.turns) {
		c.t.Errorf("one request too many: %s", got)
		http.Error(w, "{}", http.StatusTeapot)
		return
	}
	turn := c.turns[c.next]
	c.next++
	if got != turn.request.first {
		c.t.Errorf("%s: the request is\n  %s\nand should be\n  %s", turn.what, got, turn.request.first)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Error(err)
	}
	if d := diffJSON(turn.request.body, body); d != "" {
		c.t.Errorf("%s: the body differs (- should be, + is):\n%s", turn.what, d)
	}
	for _, want := range []http.Header{c.usual, turn.request.header} {
		for name := range want {
			if r.Header.Get(name) != want.Get(name) {
				c.t.Errorf("%s: %s is %q and should be %q", turn.what, name, r.Header.Get(name), want.Get(name))
			}
		}
	}
	if len(body) > 0 && r.Header.Get("Content-Type") != "application/json" {
		c.t.Errorf("%s: Content-Type is %q", turn.what, r.Header.Get("Content-Type"))
	}
	if turn.request.header.Get("If-None-Match") == "" && r.Header.Get("If-None-Match") != "" {
		c.t.Errorf("%s: If-None-Match is %q", turn.what, r.Header.Get("If-None-Match"))
	}
	for name, values := range turn.answer.header {
		w.Header()[name] = values
	}
	var status int
	fmt.Sscan(turn.answer.first, &status)
	w.WriteHeader(status)
	w.Write(turn.answer.body)
}

func diffJSON(want, got []byte) string {
	if len(want) == 0 || len(got) == 0 {
		return cmp.Diff(string(want), string(got))
	}
	var w, g any
	if err := json.Unmarshal(want, &w); err != nil {
		return "the test's own: " + err.Error()
	}
	if err := json.Unmarshal(got, &g); err != nil {
		return err.Error()
	}
	return cmp.Diff(w, g)
}
