package httpapi

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// orderlyError fails unless the answer is one error in the form that all have.
func orderlyError(t *testing.T, answer string, status int) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		t.Fatalf("%v in %q", err, answer)
	}
	body, _ := io.ReadAll(response.Body)
	var e map[string]string
	if err := json.Unmarshal(body, &e); err != nil || len(e) != 1 || e["error"] == "" {
		t.Errorf("%d answers %q", response.StatusCode, body)
	}
	if response.StatusCode != status || response.Header.Get("Content-Type") != "application/json" || response.Header.Get("X-Request-Id") == "" || !response.Close {
		t.Errorf("%d with %v; want %d, JSON, with an id, and the end of the connection", response.StatusCode, response.Header, status)
	}
}

var refusedRequests = map[string]struct {
	request string
	status  int
}{
	"a first line that is none":      {"HELLO\r\n\r\n", 400},
	"an unknown version":             {"GET / HTTP/3.7\r\nHost: x\r\n\r\n", 505},
	"no host":                        {"GET /healthz HTTP/1.1\r\n\r\n", 400},
	"a malformed host":               {"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
	"a malformed header":             {"GET /healthz HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400},
	"an invalid value of a header":   {"GET /healthz HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", 400},
	"a header that is too large":     {"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 48<<10) + "\r\n\r\n", 431},
	"an unknown transfer encoding":   {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
	"a malformed percent-encoding":   {"GET /api/v1/tenants/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
	"an expectation that can't be":   {"POST /healthz HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nContent-Length: 2\r\n\r\n{}", 417},
	"a length that is none":          {"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400},
	"bytes that are of another kind": {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
}

func TestWhatIsRefusedBeforeItIsARequestIsAnsweredAsAllErrorsAre(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MetricsListen = "127.0.0.1:0" })
	api := w.running()
	for where, addr := range map[string]string{"api": api, "metrics": w.server.bound.metrics.Addr().String()} {
		for name, c := range refusedRequests {
			t.Run(where+" "+name, func(t *testing.T) { orderlyError(t, raw(t, addr, c.request), c.status) })
		}
	}
}

func TestOverTLS(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	pool := writeCertificate(t, cert, key, 1)
	w := newWorld(t, func(c *Config) { c.CertFile, c.KeyFile = cert, key })
	addr := w.running()
	for name, request := range map[string]string{
		"a plain GET":                "GET /api/v1/tenants/acme HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.admin + "\r\n\r\n",
		"a plain POST with its body": "POST /api/v1/tenants/acme/secrets HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			answer := raw(t, addr, request)
			orderlyError(t, answer, 400)
			if !strings.Contains(answer, "https://") {
				t.Errorf("the answer does not tell what to do: %s", answer)
			}
		})
	}
	for name, c := range refusedRequests {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, &tls.Config{RootCAs: pool, NextProtos: []string{"http/1.1"}})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(conn)
			orderlyError(t, string(answer), c.status)
		})
	}
}
