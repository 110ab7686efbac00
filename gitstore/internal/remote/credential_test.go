package remote_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore/internal/remote"
)

// guarded lets in who has the password of that moment.
type guarded struct {
	real     http.Handler
	password atomic.Pointer[string]
	refused  atomic.Int32
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, password, _ := r.BasicAuth(); password != *g.password.Load() {
		g.refused.Add(1)
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.real.ServeHTTP(w, r)
}

func (g *guarded) change(password string) { g.password.Store(&password) }

func TestAPasswordIsFollowed(t *testing.T) {
	s := newServer(t)
	s.commit("main", "a", "1")
	g := &guarded{real: s.handler()}
	g.change("first")
	file := mustWrite(t, filepath.Join(t.TempDir(), "token"), []byte("first\n"))
	r := open(t, remote.Settings{URL: listen(t, g).URL + "/acme.git", PasswordFile: file})
	look := func() error { _, err := r.Refs(t.Context()); return err }
	if err := look(); err != nil {
		t.Fatal(err)
	}
	// Another password of the same length, at the same time: it is read only
	// because the old one is refused.
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, file, []byte("other\n"))
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	g.change("other")
	if err := look(); err != nil || g.refused.Load() != 1 {
		t.Errorf("%v, after %d refusals", err, g.refused.Load())
	}
	g.change("third")
	if err := look(); !errors.Is(err, remote.Denied) || g.refused.Load() != 2 {
		t.Errorf("%v, after %d refusals; a password is not to be tried again that was refused", err, g.refused.Load())
	}
	mustWrite(t, file, []byte("third and more\n"))
	g.change("third and more")
	if err := look(); err != nil || g.refused.Load() != 2 {
		t.Errorf("%v, after %d refusals", err, g.refused.Load())
	}
	for content, says := range map[string]string{"": "empty", "two\nlines\n": "one line", "nul\x00": "one line"} {
		mustWrite(t, file, []byte(content))
		if err := look(); !errors.Is(err, remote.Denied) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", content, err)
		}
	}
	os.Remove(file)
	if err := look(); !errors.Is(err, remote.Denied) || !strings.Contains(err.Error(), file) {
		t.Errorf("without a file: %v", err)
	}
}

// appAPI gives tokens to who signs with the right key.
type appAPI struct {
	key     *rsa.PublicKey
	clock   *clocktesting.FakeClock
	guard   *guarded
	bought  atomic.Int32
	refuses atomic.Int32 // with this status, if it isn't 0
}

func (a *appAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if code := a.refuses.Load(); code != 0 {
		w.WriteHeader(int(code))
		return
	}
	signed := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := jwt.ParseWithClaims(signed, &jwt.RegisteredClaims{}, func(*jwt.Token) (any, error) { return a.key, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(a.clock.Now), jwt.WithIssuedAt(), jwt.WithExpirationRequired())
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/api/v3/app/installations/42/access_tokens" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if issuer, _ := claims.Claims.GetIssuer(); issuer != "7" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := "ghs_" + string(rune('a'+a.bought.Add(1)))
	a.guard.change(token)
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_at": a.clock.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
}

func TestTokensOfAGitHubAppAreKeptTillShortlyBeforeTheirEnd(t *testing.T) {
	s := newServer(t)
	s.commit("main", "a", "1")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	clock := clocktesting.NewFakeClock(time.Now())
	g := &guarded{real: s.handler()}
	g.change("none yet")
	api := &appAPI{key: &key.PublicKey, clock: clock, guard: g}
	file := mustWrite(t, filepath.Join(t.TempDir(), "key.pem"),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	r := openWith(t, newHosts(t, remote.HostsConfig{Clock: clock}), remote.Settings{URL: listen(t, g).URL + "/acme.git",
		App: remote.App{ID: "7", InstallationID: "42", PrivateKeyFile: file, URL: listen(t, api).URL + "/api/v3/"}})
	look := func(bought int32) {
		t.Helper()
		if _, err := r.Refs(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := api.bought.Load(); got != bought {
			t.Errorf("%d tokens were got, want %d", got, bought)
		}
	}
	look(1)
	clock.Step(54 * time.Minute)
	look(1)
	clock.Step(time.Minute)
	look(2)
	g.change("revoked") // a token that is refused before its end
	look(3)
	api.refuses.Store(404)
	clock.Step(time.Hour)
	if _, err := r.Refs(t.Context()); !errors.Is(err, remote.Denied) || !strings.Contains(err.Error(), "installation") {
		t.Errorf("got %v", err)
	}
	mustWrite(t, file, []byte("-----BEGIN RSA PRIVATE KEY-----\nczNjcmV0\n-----END RSA PRIVATE KEY-----\n"))
	if _, err := r.Refs(t.Context()); !errors.Is(err, remote.Denied) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "czNj") {
		t.Errorf("got %v", err)
	}
}

// certificate returns a certificate for this machine that is signed by itself.
func certificate(tb testing.TB) (cert, key []byte) {
	tb.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, private.N)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial.Rsh(serial, 1920), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
}

func TestCertificatesAreFollowed(t *testing.T) {
	s := newServer(t)
	s.commit("main", "a", "1")
	ours, oursKey := certificate(t)
	var present atomic.Pointer[tls.Certificate]
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ours)
	server := httptest.NewUnstartedServer(s.handler())
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return present.Load(), nil }}
	server.Config.ErrorLog = quiet
	show := func(cert, key []byte) {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		present.Store(&pair)
		server.CloseClientConnections()
	}
	first, firstKey := certificate(t)
	pair, err := tls.X509KeyPair(first, firstKey)
	if err != nil {
		t.Fatal(err)
	}
	present.Store(&pair)
	server.StartTLS()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	ca := mustWrite(t, filepath.Join(dir, "ca"), first)
	settings := remote.Settings{URL: strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/acme.git", CAFile: ca,
		ClientCertFile: mustWrite(t, filepath.Join(dir, "cert"), ours), ClientKeyFile: mustWrite(t, filepath.Join(dir, "key"), oursKey)}
	r := open(t, settings)
	if _, err := r.Refs(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, secondKey := certificate(t)
	show(second, secondKey)
	r.Refs(t.Context()) // which may still use the connection that was closed just now
	if _, err := r.Refs(t.Context()); !errors.Is(err, remote.Unavailable) || !strings.Contains(err.Error(), "caFile") {
		t.Errorf("after its certificate has changed: %v", err)
	}
	mustWrite(t, ca, second)
	if _, err := r.Refs(t.Context()); err != nil {
		t.Errorf("after caFile was mended: %v", err)
	}
	settings.ClientCertFile, settings.ClientKeyFile = "", ""
	if _, err := open(t, settings).Refs(t.Context()); !errors.Is(err, remote.Unavailable) || !strings.Contains(err.Error(), "client certificate") {
		t.Errorf("without a certificate of ours: %v", err)
	}
	mustWrite(t, ca, []byte("nothing"))
	if _, err := r.Refs(t.Context()); !errors.Is(err, remote.Denied) || !strings.Contains(err.Error(), ca) {
		t.Errorf("with no certificate in caFile: %v", err)
	}
}
