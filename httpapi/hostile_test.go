package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"secretsync/httpapi/exchange"
	"secretsync/httpapi/listen"
)

// running starts the server as the program does, on a port of its own, and
// stops it at the end of the test.
func (w *world) running() (addr string) {
	w.Helper()
	w.server.cfg.Listen = "127.0.0.1:0"
	if err := w.server.Listen(); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	return w.server.Addr().String()
}

// raw sends bytes as they are and reads what comes back until the server
// closes or a second passes without more.
func raw(t testing.TB, addr string, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return "" // closed while we were still sending
	}
	// Half-closed: the server sees that nothing more comes.
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return ""
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	all, _ := io.ReadAll(c)
	return string(all)
}

func statuses(answers string) (all []string) {
	r := bufio.NewReader(strings.NewReader(answers))
	for {
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		io.Copy(io.Discard, response.Body)
		all = append(all, fmt.Sprint(response.StatusCode))
	}
}

// TestBytesThatAreNoOrderlyRequest holds that no form of a request reaches
// what its key does not open, and that each byte stream is understood in one
// way only.
func TestBytesThatAreNoOrderlyRequest(t *testing.T) {
	w := newWorld(t)
	w.judgesBytes(t, w.running())
}

// judgesBytes asks a server, for all of whose requests the world's log is right.
func (w *world) judgesBytes(t *testing.T, addr string) {
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	auth := "Authorization: Bearer " + w.admin + "\r\n"
	host := "Host: x\r\n"
	get := "GET /api/v1/tenants/acme HTTP/1.1\r\n" + host + auth + "\r\n"
	foreign := "GET /api/v1/tenants/globex/secrets HTTP/1.1\r\n" + host + auth + "\r\n"
	for name, c := range map[string]struct {
		request string
		want    string // statuses in order
	}{
		"an orderly one":                  {get, "200"},
		"two in one go":                   {get + get, "200 200"},
		"a foreign one behind a good one": {get + foreign, "200 403"},
		"both lengths: only one is believed, and the connection ends": {
			"POST /api/v1/tenants/acme/secrets HTTP/1.1\r\n" + host + auth + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get, "400"},
		"two lengths that differ": {
			"POST /api/v1/tenants/acme/secrets HTTP/1.1\r\n" + host + auth + "Content-Length: 4\r\nContent-Length: 5\r\n\r\n{}\r\n\r\n" + get, "400"},
		"a negative length":                {"POST /api/v1/tenants/acme/secrets HTTP/1.1\r\n" + host + auth + "Content-Length: -1\r\n\r\n" + get, "400"},
		"a length with a sign":             {"POST /api/v1/tenants/acme/secrets HTTP/1.1\r\n" + host + auth + "Content-Length: +2\r\n\r\n{}" + get, "400"},
		"an unknown transfer encoding":     {"POST /api/v1/tenants/acme/secrets HTTP/1.1\r\n" + host + auth + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + get, "501"},
		"chunked in disguise":              {"POST /api/v1/tenants/acme/secrets HTTP/1.1\r\n" + host + auth + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + get, "400"},
		"a space before the colon":         {"GET /api/v1/tenants/acme HTTP/1.1\r\n" + host + strings.Replace(auth, ":", " :", 1) + "\r\n", "400"},
		"a folded header":                  {"GET /api/v1/tenants/acme HTTP/1.1\r\n" + host + "X-A: b\r\n " + auth + "\r\n", "401"},
		"no host":                          {"GET /api/v1/tenants/acme HTTP/1.1\r\n" + auth + "\r\n", "400"},
		"two hosts":                        {"GET /api/v1/tenants/acme HTTP/1.1\r\n" + host + host + auth + "\r\n", "400"},
		"a null byte in the path":          {"GET /api/v1/tenants/acme\x00 HTTP/1.1\r\n" + host + auth + "\r\n", "400"},
		"a null byte in a header":          {"GET /api/v1/tenants/acme HTTP/1.1\r\n" + host + "X-A: \x00\r\n" + auth + "\r\n", "400"},
		"a control byte in the request id": {"GET /api/v1/tenants/acme HTTP/1.1\r\n" + host + "X-Request-Id: a\tb\r\n" + auth + "\r\n", "200"},
		"an absolute target":               {"GET http://other/api/v1/tenants/globex HTTP/1.1\r\n" + host + auth + "\r\n", "403"},
		"an absolute target of our own":    {"GET http://x/api/v1/tenants/acme HTTP/1.1\r\n" + host + auth + "\r\n", "200"},
		"a target that is no path":         {"GET api/v1/tenants/acme HTTP/1.1\r\n" + host + auth + "\r\n", "400"},
		"a target with a fragment":         {"GET /api/v1/tenants/acme#/../globex HTTP/1.1\r\n" + host + auth + "\r\n", "403"},
		"a broken escape":                  {"GET /api/v1/tenants/%zz HTTP/1.1\r\n" + host + auth + "\r\n", "400"},
		"a double escape":                  {"GET /api/v1/tenants/acme%252fsecrets HTTP/1.1\r\n" + host + auth + "\r\n", "403"},
		"dot segments into another tenant": {"GET /api/v1/tenants/acme/../globex HTTP/1.1\r\n" + host + auth + "\r\n", "404"},
		"escaped dot segments":             {"GET /api/v1/tenants/acme/%2e%2e/globex HTTP/1.1\r\n" + host + auth + "\r\n", "404"},
		"an escaped slash":                 {"GET /api/v1/tenants%2facme HTTP/1.1\r\n" + host + auth + "\r\n", "404"},
		"an escaped slash, foreign":        {"GET /api/v1/tenants/globex%2fsecrets HTTP/1.1\r\n" + host + auth + "\r\n", "403"},
		"an escaped path without a key":    {"GET /%61pi/v1/tenants/acme HTTP/1.1\r\n" + host + "\r\n", "401"},
		"a backslash":                      {"GET /api/v1/tenants/acme\\..\\globex HTTP/1.1\r\n" + host + auth + "\r\n", "403"},
		"a full-width letter":              {"GET /api/v1/tenants/\xef\xbd\x81cme HTTP/1.1\r\n" + host + auth + "\r\n", "403"},
		"an overlong slash":                {"GET /api/v1/tenants/acme\xc0\xafx HTTP/1.1\r\n" + host + auth + "\r\n", "403"},
		"no HTTP at all":                   {"SSH-2.0-x\r\n\r\n", "400"},
		"a TLS hello":                      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
		"HTTP/2 without TLS":               {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "405"},
		"HTTP/0.9":                         {"GET /healthz\r\n\r\n", "400"},
		"HTTP/1.0":                         {"GET /healthz HTTP/1.0\r\n\r\n", "200"},
		"a made-up method":                 {"STEAL /api/v1/tenants/acme HTTP/1.1\r\n" + host + auth + "\r\n", "405"},
		"CONNECT":                          {"CONNECT globex:443 HTTP/1.1\r\n" + host + auth + "\r\n", "404"},
		"OPTIONS *":                        {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", "204"},
		"GET *":                            {"GET * HTTP/1.1\r\n" + host + "\r\n", "405"},
		"a method override":                {"GET /api/v1/tenants/acme/secrets/db-password HTTP/1.1\r\n" + host + auth + "X-HTTP-Method-Override: DELETE\r\n\r\n", "200"},
		"a path override":                  {"GET /healthz HTTP/1.1\r\n" + host + auth + "X-Original-URL: /api/v1/tenants/globex\r\nX-Rewrite-URL: /api/v1/tenants/globex\r\n\r\n", "200"},
		"an upgrade":                       {"GET /healthz HTTP/1.1\r\n" + host + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "200"},
		"a body shorter than its length":   {"PATCH /api/v1/tenants/acme/secrets/db-password HTTP/1.1\r\n" + host + auth + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"sync\":[]}", "400"},
		"a chunk that is none":             {"PATCH /api/v1/tenants/acme/secrets/db-password HTTP/1.1\r\n" + host + auth + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{\"sync\":[]}\r\n0\r\n\r\n", "400"},
		"a request cut off in its header":  {"GET /api/v1/tenants/acme HTTP/1.1\r\nHos", "400"},
		"nothing":                          {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			answers := raw(t, addr, c.request)
			got := strings.Join(statuses(answers), " ")
			if got != c.want {
				t.Errorf("answers %s; want %s\n%s", got, c.want, answers)
			}
			if strings.Contains(answers, "globex") || strings.Contains(answers, "GLOBEX") {
				t.Errorf("the answer tells of another tenant: %s", answers)
			}
		})
	}
	if s := w.must(200, "GET", "/secrets/db-password", ""); len(s.Sync) != 0 {
		t.Error("something was changed")
	}
	if logs := w.logs.String(); strings.Contains(logs, "globex") || strings.Contains(logs, "STEAL") {
		t.Errorf("input came into the log:\n%s", logs)
	}
}

func TestAHeaderFloodEndsEarlyAndCostsNoMemory(t *testing.T) {
	w := newWorld(t)
	addr := w.running()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n")
	line := "X-Flood: " + strings.Repeat("a", 1000) + "\r\n"
	sent := 0
	for sent < 64<<20 {
		n, err := io.WriteString(c, line)
		sent += n
		if err != nil {
			break
		}
	}
	if sent == 64<<20 {
		t.Error("the server read 64 MiB of header")
	}
}

// TestManyBadClientsAtOnce holds that hundreds of clients that send huge
// bodies, half a request, or nothing keep nobody else from being served, and
// that memory does not grow with what they send.
func TestManyBadClientsAtOnce(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxConnectionsPerAddress = 1000 })
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	addr := w.running()

	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)

	auth := "Host: x\r\nAuthorization: Bearer " + w.admin + "\r\n"
	opening := []string{
		"",
		"GET /api/v1/tenants/acme HTTP/1.1\r\nHos",
		"PATCH /api/v1/tenants/acme/secrets/db-password HTTP/1.1\r\n" + auth + "Content-Length: 1000000\r\n\r\n{",
		"PATCH /api/v1/tenants/acme/secrets/db-password HTTP/1.1\r\n" + auth + "Content-Length: 99999999999\r\n\r\n{",
		"PATCH /api/v1/tenants/acme/secrets/db-password HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n{",
	}
	var held []net.Conn
	for i := range 500 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		io.WriteString(c, opening[i%len(opening)])
	}
	// Meanwhile some send without end, each until it is cut off.
	var floods sync.WaitGroup
	for range 8 {
		floods.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			defer c.Close()
			io.WriteString(c, "POST /api/v1/tenants/acme/secrets HTTP/1.1\r\n"+auth+"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
			chunk := []byte("10000\r\n" + strings.Repeat(" ", 0x10000) + "\r\n")
			for range 1000 {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
			t.Error("64 MiB of body were taken")
		})
	}
	for range 200 {
		if r := w.do("GET", "/api/v1/tenants/acme/secrets/db-password", w.admin, ""); r.status != 200 {
			t.Fatalf("meanwhile: %d %s", r.status, r.body)
		}
	}
	floods.Wait()
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	// 500 connections with their buffers and goroutines, and what was read.
	const most = 64 << 20
	if grown := int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse); grown > most {
		t.Errorf("memory grew by %d MiB; want at most %d", grown>>20, most>>20)
	}
	for _, c := range held {
		c.Close()
	}
}

// A client that trickles is given up in time; the time itself is a constant,
// so a server with a small one stands in.
func TestSlowClientsAreGivenUp(t *testing.T) {
	w := newWorld(t)
	server := listen.NewServer(w.server.Handler(), w.server.log)
	if server.ReadHeaderTimeout == 0 || server.ReadTimeout == 0 || server.WriteTimeout == 0 || server.IdleTimeout == 0 || server.MaxHeaderBytes == 0 {
		t.Fatalf("a limit is missing: %+v", server)
	}
	auth := "Host: x\r\nAuthorization: Bearer " + w.admin + "\r\n"
	for name, c := range map[string]struct {
		request, answer string
		header          time.Duration
	}{
		"in the header": {"GET /api/v1/tenants/acme HTTP/1.1\r\nHos", "", 100 * time.Millisecond},
		// A header that was sent late on a busy machine would get no answer.
		"in the body": {"POST /api/v1/tenants/acme/secrets HTTP/1.1\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{", " 400 ", time.Minute},
		"between two": {"", "", 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			server := listen.NewServer(w.server.Handler(), w.server.log)
			server.ReadHeaderTimeout, server.ReadTimeout = c.header, 200*time.Millisecond
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()
			defer func() {
				server.Close()
				<-served
			}()
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, c.request)
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			answer, err := io.ReadAll(conn) // ends when the server closes
			if err != nil {
				t.Fatalf("the connection was not closed: %v", err)
			}
			if !bytes.Contains(answer, []byte(c.answer)) {
				t.Errorf("answer %q; want %q", answer, c.answer)
			}
		})
	}
}

func TestOneAddressCanNotHoldAllConnections(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxConnectionsPerAddress = 3 })
	addr := w.running()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	served := func(c net.Conn) bool {
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err == nil
	}
	var held []net.Conn
	for i := range 3 {
		held = append(held, dial())
		if !served(held[i]) {
			t.Fatalf("connection %d was closed", i)
		}
	}
	more := dial()
	defer more.Close()
	if served(more) {
		t.Error("a fourth connection is served")
	}
	// Whoever is trusted to speak for many may hold more.
	settings := w.settings
	settings.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	w.reconfigure(settings)
	trusted := dial()
	defer trusted.Close()
	if !served(trusted) {
		t.Error("a trusted proxy's connection is closed")
	}
	w.reconfigure(w.settings)
	for _, c := range held {
		c.Close()
	}
	for { // the server sees a moment later that they were closed
		again := dial()
		ok := served(again)
		again.Close()
		if ok {
			break
		}
	}
}

// TestOneTenantCanNotHoldAllMemory: its bodies and waiting requests are
// bounded, and the other tenant's go on.
func TestOneTenantCanNotHoldAllMemory(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	acme := w.server.shares.Of(mustTenant(t, "acme"))
	exhaust := func() (release func(), bodies, waiters int) {
		var taken []func()
		for {
			release, ok := acme.Body(exchange.MaxBody)
			if !ok {
				break
			}
			taken = append(taken, release)
		}
		bodies = len(taken)
		for {
			release, ok := acme.Waiter()
			if !ok {
				break
			}
			taken = append(taken, release)
		}
		return func() {
			for _, release := range taken {
				release()
			}
		}, bodies, len(taken) - bodies
	}
	release, bodies, waiters := exhaust()
	const path = "/api/v1/tenants/acme/secrets/db-password"
	for name, r := range map[string]reply{
		"a body":    w.do("PATCH", path, w.admin, `{"sync":[]}`),
		"a waiting": w.do("GET", path+"?wait=Active", w.admin, ""),
	} {
		if r.status != 429 || r.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s; want 429", name, r.status, r.body)
		}
	}
	if r := w.do("POST", "/api/v1/tenants/globex/secrets", w.globex, `{"name":"db-password","secretPath":"a"}`); r.status != 201 {
		t.Errorf("globex: %d %s", r.status, r.body)
	}
	if r := w.do("GET", path, w.admin, ""); r.status != 200 {
		t.Errorf("a plain GET: %d", r.status)
	}
	release()
	w.must(200, "PATCH", "/secrets/db-password", `{"sync":[]}`)
	w.must(200, "GET", "/secrets/db-password?wait=Active", "")
	if _, b, w := exhaust(); b != bodies || w != waiters || bodies == 0 || waiters == 0 {
		t.Errorf("there was room for %d bodies and %d waiting requests, and afterwards for %d and %d", bodies, waiters, b, w)
	}
}
