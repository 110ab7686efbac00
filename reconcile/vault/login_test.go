package vault

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/reconcile/vault/access"
)

// logins is a vault whose other ways to log in are played by the test: it looks
// at what is sent to auth/<mount>/login and gives a real token for it.
type logins struct {
	*httptest.Server
	w     *world
	check func(r *http.Request, body map[string]any) error

	mu    sync.Mutex
	seen  []seen
	count atomic.Int64
}

func (l *logins) handler(w *world) http.Handler {
	upstream, err := url.Parse(w.vault.Address)
	w.must(err)
	forward := httputil.NewSingleHostReverseProxy(upstream)
	l.w = w
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.seen = append(l.seen, seen{r.URL.Path, r.Header.Clone()})
		l.mu.Unlock()
		if l.check == nil || !strings.HasPrefix(r.URL.Path, "/v1/auth/") || !strings.HasSuffix(r.URL.Path, "/login") {
			r.Header.Del("X-Vault-Namespace") // this Vault has none
			forward.ServeHTTP(rw, r)
			return
		}
		l.count.Add(1)
		text, _ := io.ReadAll(r.Body)
		var body map[string]any
		err := json.Unmarshal(text, &body)
		if err == nil {
			err = l.check(r, body)
		}
		if err != nil {
			rw.WriteHeader(http.StatusBadRequest)
			json.NewEncoder(rw).Encode(map[string]any{"errors": []string{err.Error()}})
			return
		}
		token, err := w.vault.Token(r.Context(), time.Hour, w.name)
		if err != nil {
			rw.WriteHeader(http.StatusInternalServerError)
			return
		}
		json.NewEncoder(rw).Encode(map[string]any{"auth": map[string]any{"client_token": token, "lease_duration": 3600, "renewable": true}})
	})
}

func (l *logins) before(w *world) {
	w.t.Helper()
	l.Server = httptest.NewServer(l.handler(w))
	w.t.Cleanup(l.Server.Close)
	w.cfg.Address = l.URL
	w.must(w.vault.ReadPolicy(w.ctx, w.name, "secret", w.name))
}

func TestEachWayToLogInSendsWhatItNeeds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		configure func(*world)
		path      string
		body      map[string]any
	}{
		"kubernetes": {
			configure: func(w *world) {
				w.cfg.Kubernetes = &access.KubernetesAuth{Mount: "clusters/staging", Role: "syncer", TokenFile: w.file("jwt", "ey.a.b\n")}
			},
			path: "/v1/auth/clusters/staging/login", body: map[string]any{"role": "syncer", "jwt": "ey.a.b"},
		},
		"jwt": {
			configure: func(w *world) { w.cfg.JWT = &access.JWTAuth{Role: "syncer", TokenFile: w.file("jwt", "ey.a.b")} },
			path:      "/v1/auth/jwt/login", body: map[string]any{"role": "syncer", "jwt": "ey.a.b"},
		},
		"an AppRole without a secret id": {
			configure: func(w *world) { w.cfg.AppRole = &access.AppRole{Mount: "/machines/", RoleID: "r"} },
			path:      "/v1/auth/machines/login", body: map[string]any{"role_id": "r"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &logins{check: func(r *http.Request, body map[string]any) error {
				if got, want := fmt.Sprint(r.URL.Path, body), fmt.Sprint(test.path, test.body); got != want {
					return fmt.Errorf("got %s, want %s", got, want)
				}
				return nil
			}}
			w := newWorld(t, l.before, func(w *world) { w.cfg.Token = ""; test.configure(w) })
			w.put("db", map[string]any{"a": "1"})
			w.holds(w.source("db"), 1)
			if len(w.cfg.LoginFingerprint()) > 0 {
				// Another token in the file is another login, within an interval.
				before := l.count.Load()
				w.file("jwt", "ey.a.c")
				w.until("another login", func() bool { return l.count.Load() > before })
				w.logged("vault login failed", "stays in use")
				if o := w.b.Outage(); o != nil {
					t.Errorf("%+v", o)
				}
			}
		})
	}
}

func TestTheLoginMayBeAtAnotherNamespaceThanTheMount(t *testing.T) {
	t.Parallel()
	l := &logins{check: func(r *http.Request, _ map[string]any) error {
		if r.Header.Get("X-Vault-Token") != "" {
			return fmt.Errorf("a login with a token")
		}
		return nil
	}}
	w := newWorld(t, l.before, func(w *world) {
		w.cfg.Token, w.cfg.JWT = "", &access.JWTAuth{Role: "r", TokenFile: w.file("jwt", "ey")}
		w.cfg.Namespace, w.cfg.AuthNamespace = "teams/payments", "root"
	})
	w.put("db", map[string]any{"a": "1"})
	w.holds(w.source("db"), 1)
	w.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.seen[0].header.Get("X-Vault-Namespace"); got != "" {
		t.Errorf("the login went to %q", got)
	}
	if got := l.seen[1].header.Get("X-Vault-Namespace"); got != "teams/payments" {
		t.Errorf("the read went to %q", got)
	}
	// A read that was given up may arrive after it.
	given := slices.IndexFunc(l.seen, func(s seen) bool { return strings.HasSuffix(s.path, "/auth/token/revoke-self") })
	if given < 0 {
		t.Fatal("the token was not given back")
	}
	if got := l.seen[given].header.Get("X-Vault-Namespace"); got != "" {
		t.Errorf("the token was given back at %q", got)
	}
}

func TestAWrappedSecretIDIsUnwrappedOnce(t *testing.T) {
	t.Parallel()
	wrap := func(w *world) string {
		client, err := w.vault.NewClient(w.vault.RootToken)
		w.must(err)
		client.SetWrappingLookupFunc(func(string, string) string { return "10m" })
		secret, err := client.Logical().Write("auth/approle/role/"+w.name+"/secret-id", nil)
		w.must(err)
		return secret.WrapInfo.Token
	}
	w := newWorld(t, withAppRole(time.Hour), func(w *world) {
		w.file("secret-id", wrap(w))
		w.cfg.AppRole.Wrapped = true
	})
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	w.holds(s, 1)
	token := w.token()
	w.must(w.vault.Client.Auth().Token().RevokeTree(token))
	w.until("another login with the same secret id", func() bool { return w.token() != token && w.token() != "" })

	// One that was used by somebody else is told.
	used := wrap(w)
	_, err := w.vault.Client.Logical().Unwrap(used)
	w.must(err)
	w.file("secret-id", used)
	line := w.logged("vault login failed", "was used before or has expired")
	if strings.Contains(line, used) {
		t.Error("the wrapping token is in the log")
	}
	token = w.token()
	w.file("secret-id", wrap(w))
	w.until("a login with the new one", func() bool { return w.token() != token && w.token() != "" })
	w.holds(s, 1)
}

// seen is what there was of a request.
type seen struct {
	path   string
	header http.Header
}
