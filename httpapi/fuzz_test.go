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

	"secretsync/gitstore/definition"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/conformance"
)

// refusedWell fails unless err is a 400 that says something.
func refusedWell(t *testing.T, err error) {
	t.Helper()
	if p := problemOf(err); p.status != http.StatusBadRequest || p.sentence == "" || strings.ContainsAny(p.sentence, "\n\r\x00") {
		t.Errorf("refused with %d %q (%v); want a 400 of one line", p.status, p.sentence, err)
	}
}

// FuzzBatch holds that what is accepted is what any other JSON reader reads.
func FuzzBatch(f *testing.F) {
	for _, b := range conformance.BadBatches {
		f.Add([]byte(strings.ReplaceAll(b.Body, "NAME", "db-password")))
	}
	f.Add([]byte(`{"operations":[{"op":"create","name":"aa","secretPath":"b"},{"op":"patch","name":"bb","sync":null,"ifMatch":"*"},{"op":"delete","name":"cc","ifMatch":"\"x\""}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		operations, err := parseBatch(body)
		if err != nil {
			refusedWell(t, err)
			return
		}
		var plain struct {
			Operations []struct {
				Op, Name, SecretPath string
				IfMatch              *string
				Sync                 []struct{ Cluster, Namespace, SecretName string }
			}
		}
		strict := json.NewDecoder(bytes.NewReader(body))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&plain); err != nil || len(plain.Operations) != len(operations) {
			t.Fatalf("accepted what encoding/json reads as %+v: %v", plain, err)
		}
		for i, o := range operations {
			if p := plain.Operations[i]; o.op != p.Op || o.name.String() != p.Name {
				t.Fatalf("operations[%d] is read as %+v; encoding/json reads %+v", i, o, p)
			}
		}
	})
}

func FuzzKeyRequest(f *testing.F) {
	f.Add([]byte(`{"displayName":"Ada","role":"admin","expiresAt":"2099-01-01T00:00:00+01:00"}`))
	f.Add([]byte(`{"displayName":"Ada <x>","role":"readonly","expiresAt":null}`))
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		k, err := parseKeyRequest(body, now)
		if err != nil {
			refusedWell(t, err)
			return
		}
		if _, err := apikey.ParseDisplayName(k.displayName); err != nil {
			t.Error(err)
		}
		if _, err := apikey.ParseRole(string(k.role)); err != nil {
			t.Error(err)
		}
		if !k.expiresAt.IsZero() && k.expiresAt.Before(now) {
			t.Errorf("expires at %s, which is past", k.expiresAt)
		}
		// What is stored comes back as it was.
		line := (&Server{usage: new(apikey.Usage)}).appendKey(nil, nil, &apikey.Key{ID: "ak-aaaa", DisplayName: k.displayName, Role: k.role, CreatedAt: now, ExpiresAt: k.expiresAt, ExpiresText: k.expiresText})
		var back keyBody
		if err := json.Unmarshal(append(line, '}'), &back); err != nil || back.DisplayName != k.displayName || back.ExpiresAt != k.expiresText {
			t.Errorf("rendered as %s: %v", line, err)
		}
	})
}

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
	for _, rt := range routes {
		path := strings.NewReplacer(":tenant", "acme", ":name", "kept", ":id", "ak-abcd").Replace(rt.path)
		f.Add([]byte(rt.method + " " + path + " HTTP/1.1\r\nHost: x\r\nAUTH\r\n"))
		f.Add([]byte(rt.method + " " + strings.Replace(path, "acme", "globex", 1) + "?a=%zz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nAUTH\r\n{}"))
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

func FuzzPlan(f *testing.F) {
	f.Add([]byte(`{"from":"main","to":"0123456"}`))
	f.Add([]byte(`{"files":{"secrets/db.yaml":"name: db\nsecretPath: db\n","secrets/old.yaml":null},"partial":true}`))
	f.Add([]byte(`{"files":{"secrets/../x":"","secrets/a/b.yaml":"x"},"to":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parsePlan(body)
		if err != nil {
			refusedWell(t, err)
			return
		}
		if p.from == "" || (p.to != "") == (p.files != nil || p.removed != nil) && p.to != "" {
			t.Fatalf("accepted %s as %+v", body, p)
		}
		set, err := definition.ReadSet(p.files, 10)
		if err != nil || set.Count+len(set.Strange) != len(p.files) {
			t.Fatalf("of %d files %d are told: %v", len(p.files), set.Count+len(set.Strange), err)
		}
	})
}
