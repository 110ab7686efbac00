package forge_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	"secretsync/gitstore/forge"
)

func TestAnAppBuysATokenAndANewOneInTime(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	keyFile := filepath.Join(t.TempDir(), "app.pem")
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))

	clock := testclock.NewFakePassiveClock(noon)
	bought, revoked := 0, ""
	var used []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch r.URL.Path {
		case "/api/v3/app/installations/42/access_tokens":
			checkProof(t, &key.PublicKey, token, clock.Now())
			bought++
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token":"ghs_%d","expires_at":%q}`, bought, clock.Now().Add(time.Hour).Format(time.RFC3339))
		case "/api/v3/repos/acme/secrets/pulls/7":
			used = append(used, token)
			if token == revoked {
				w.WriteHeader(http.StatusUnauthorized)
			}
			io.WriteString(w, `{"number":7}`)
		default:
			t.Errorf("unexpected: %s", r.URL)
		}
	}))
	t.Cleanup(server.Close)

	config := forge.Config{Kind: forge.GitHub, Repository: "https://github.com/acme/secrets", URL: server.URL, Clock: clock}
	app, err := forge.NewApp(forge.AppConfig{AppID: "Iv1.abc", InstallationID: 42, PrivateKeyFile: keyFile, Config: config})
	must(t, err)
	config.Credentials = app
	client, err := forge.New(config)
	must(t, err)
	for _, after := range []time.Duration{0, 54 * time.Minute, 56 * time.Minute} {
		clock.SetTime(noon.Add(after))
		_, err := client.Pull(t.Context(), 7)
		must(t, err)
	}
	revoked = "ghs_2"
	_, err = client.Pull(t.Context(), 7)
	must(t, err)
	same(t, []string{"ghs_1", "ghs_1", "ghs_2", "ghs_2", "ghs_3"}, used)

	// The key is replaced by one that is none: said when a token is needed.
	must(t, os.WriteFile(keyFile, []byte("hunter2"), 0o600))
	clock.SetTime(noon.Add(3 * time.Hour))
	if _, err := client.Pull(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "PEM") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestAnAppThatIsNotAcceptedSaysSo(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	keyFile := filepath.Join(t.TempDir(), "app.pem")
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"message":"A JSON web token could not be decoded"}`)
	}))
	t.Cleanup(server.Close)
	app, err := forge.NewApp(forge.AppConfig{AppID: "1", InstallationID: 42, PrivateKeyFile: keyFile,
		Config: forge.Config{Repository: "https://github.com/acme/secrets", URL: server.URL}})
	must(t, err)
	if _, err := app.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "could not be decoded") || asked != 1 {
		t.Errorf("after %d requests: %v", asked, err)
	}
}

func checkProof(t *testing.T, key *rsa.PublicKey, proof string, now time.Time) {
	t.Helper()
	parts := strings.Split(proof, ".")
	if len(parts) != 3 {
		t.Fatalf("the proof is %q", proof)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	must(t, err)
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	must(t, rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature))
	var claims struct {
		Issuer   string `json:"iss"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	must(t, json.Unmarshal(text, &claims))
	if claims.Issuer != "Iv1.abc" || claims.IssuedAt >= now.Unix() || claims.Expires <= now.Unix() || claims.Expires-claims.IssuedAt > 600 {
		t.Errorf("the proof claims %+v", claims)
	}
}
