package httpapi

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzConnection sends raw bytes to the running server. Whatever they are,
// each answer that is not net/http's own is one of ours, in form, and nothing
// of another tenant is told or changed.
func FuzzConnection(f *testing.F) {
	w := newWorld(f)
	w.transport = http.DefaultTransport
	w.must(201, "POST", "/secrets", `{"name":"kept","secretPath":"a"}`)
	if r := w.do("POST", "/api/v1/tenants/globex/secrets", w.globex, `{"name":"canary-of-globex","secretPath":"a"}`); r.status != 201 {
		f.Fatal(r.status)
	}
	addr := w.running()
	reader := "Authorization: Bearer " + w.reader + "\r\n"
	for _, rt := range w.server.apiRoutes() {
		path := strings.NewReplacer(":tenant", "acme", ":name", "kept", ":id", "ak-abcd").Replace(rt.Path)
		f.Add([]byte(rt.Method + " " + path + " HTTP/1.1\r\nHost: x\r\nAUTH\r\n"))
		f.Add([]byte(rt.Method + " " + strings.Replace(path, "acme", "globex", 1) + "?a=%zz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nAUTH\r\n{}"))
	}
	f.Add([]byte("GET /api/v1/tenants/acme%2f..%2fglobex/secrets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nAUTH\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, request []byte) {
		// A real key at a place of the fuzzer's choice: a reader's, so that
		// anything changed would be a hole.
		request = bytes.ReplaceAll(request, []byte("AUTH\r\n"), []byte(reader))
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Skip(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Write(request)
		c.(*net.TCPConn).CloseWrite()
		answers, err := io.ReadAll(c)
		if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
			t.Fatal("no answer and no end")
		}
		if bytes.Contains(answers, []byte("canary-of-globex")) {
			t.Fatalf("globex's definition was told: %s", answers)
		}
		in := bufio.NewReader(bytes.NewReader(answers))
		for {
			response, err := http.ReadResponse(in, nil)
			if err != nil {
				break
			}
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode == 500 {
				t.Fatalf("500: %s", body)
			}
			if response.Header.Get("X-Request-Id") != "" && response.StatusCode >= 400 && len(body) > 0 && !json.Valid(body) {
				t.Fatalf("%d with %q", response.StatusCode, body)
			}
		}
		if e := w.repository.Snapshot().Entries(); len(e) != 1 || len(e[0].Definition.Sync) != 0 {
			t.Fatal("a reader changed something")
		}
	})
}
