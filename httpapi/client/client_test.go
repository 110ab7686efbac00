package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func serve(t *testing.T, handle http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return &Client{URL: server.URL + "/", Tenant: "acme", Key: "kupe_ak-1_canary"}
}

func TestARequestIsBelowTheTenantAndBearsTheKey(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Etag", `"1"`)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"told": %q}`, strings.Join([]string{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)}, " "))
	})
	a, err := c.do(t.Context(), &call{method: http.MethodPost, path: "/secrets", query: url.Values{"summary": {"true"}}, in: map[string]int{"a": 1}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"told": "POST /api/v1/tenants/acme/secrets?summary=true Bearer kupe_ak-1_canary application/json {\"a\":1}"}`
	if string(a.body) != want || a.status != http.StatusAccepted || a.header.Get("Etag") != `"1"` {
		t.Errorf("got  %s\nwant %s", a.body, want)
	}
}

func TestWhatIsNoAnswerIsAnErrorInWordsThatHelp(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		want   string
		status int // of the Error; 0: it is none
	}{
		{"an error of the server is in its words", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"error":"admin access required"}`)
		}, "admin access required", http.StatusForbidden},
		{"a key that is echoed is not told", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"no such key: %s"}`, r.Header.Get("Authorization"))
		}, "no such key: Bearer (the key)", http.StatusUnauthorized},
		{"a proxy's error page is told by its status", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, `<html>`)
		}, "GET /secrets: the server answers 502 Bad Gateway", http.StatusBadGateway},
		{"a redirect is not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, "sends elsewhere (302 Found)", 0},
		{"an answer of another form is told", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `[]`)
		}, "not what this version of the program expects", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t, test.answer)
			c.Patience = -1
			_, err := c.ListSecrets(t.Context(), ListOptions{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %s", err, test.want)
			}
			told, ok := errors.AsType[*Error](err)
			if ok != (test.status != 0) || ok && told.Status != test.status {
				t.Errorf("got the error %#v", err)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Error("the error holds the key")
			}
		})
	}
}

func TestAURLThatIsNoneIsRefusedWithoutRepeatingIt(t *testing.T) {
	for _, address := range []string{"", "example.org", "ftp://example.org", "https://", "https://user:canary@example.org", "https://user:canary@[::1"} {
		_, err := (&Client{URL: address, Tenant: "acme", Key: "k"}).GetTenant(t.Context())
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: got %v", address, err)
		}
	}
}
