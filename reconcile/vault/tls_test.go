package vault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
)

// authority signs certificates of a test.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.certificate, _ = x509.ParseCertificate(der)
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

// issue makes a certificate for localhost or a client, and its key.
func (a *authority) issue(name string) (certificate, key string) {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, _ := x509.MarshalECPrivateKey(own)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
}

func (a *authority) pair(name string) *tls.Certificate {
	a.t.Helper()
	c, k := a.issue(name)
	pair, err := tls.X509KeyPair([]byte(c), []byte(k))
	if err != nil {
		a.t.Fatal(err)
	}
	return &pair
}

func pemOf(t *testing.T) string { return newAuthority(t).pem }

// secured is a world's vault behind TLS.
type secured struct {
	logins
	server  atomic.Pointer[tls.Certificate]
	clients atomic.Pointer[x509.CertPool] // nil wants no certificate
}

func (s *secured) start(w *world) {
	w.t.Helper()
	s.Server = httptest.NewUnstartedServer(s.handler(w))
	s.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		cfg := &tls.Config{Certificates: []tls.Certificate{*s.server.Load()}}
		if pool := s.clients.Load(); pool != nil {
			cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, pool
		}
		return cfg, nil
	}}
	s.Server.StartTLS()
	w.t.Cleanup(s.Server.Close)
	w.cfg.Address = s.URL
	w.must(w.vault.ReadPolicy(w.ctx, w.name, "secret", w.name))
}

func TestARotatedAuthorityIsTakenInWithoutARestart(t *testing.T) {
	t.Parallel()
	for _, reread := range []bool{false, true} {
		t.Run(fmt.Sprintf("reread=%v", reread), func(t *testing.T) {
			t.Parallel()
			first, second := newAuthority(t), newAuthority(t)
			var s secured
			s.server.Store(first.pair("localhost"))
			w := newWorld(t, s.start, func(w *world) {
				w.cfg.CAFile = w.file("ca", first.pem)
				if reread {
					w.o.Interval = seldom
				}
			})
			w.put("db", map[string]any{"a": "1"})
			db := w.source("db")
			w.holds(db, 1)
			s.server.Store(second.pair("localhost"))
			s.CloseClientConnections()
			db.Refresh()
			w.down(fault.ReasonVaultUnavailable, "authority that is not trusted")
			w.file("ca", first.pem+second.pem)
			if reread {
				w.b.Reread()
			}
			w.up()
			w.logged("vault files changed", "caFile")
			// What is bad is told and does not take away what works.
			w.file("ca", "nothing")
			if reread {
				w.b.Reread()
			}
			w.logged("vault files not taken in", "caFile", "no PEM certificate")
			v := w.put("db", map[string]any{"a": "2"})
			db.Refresh()
			w.holds(db, v)
		})
	}
}

func TestAClientCertificateLogsInAndIsFollowed(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	var s secured
	s.server.Store(ca.pair("localhost"))
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	pool.AddCert(other.certificate)
	s.clients.Store(pool)
	var role atomic.Value
	s.check = func(r *http.Request, body map[string]any) error {
		if r.URL.Path != "/v1/auth/cert/login" || body["name"] != "syncer" {
			return fmt.Errorf("%s %v", r.URL.Path, body)
		}
		role.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
		return nil
	}
	w := newWorld(t, s.start, func(w *world) {
		w.cfg.Token, w.cfg.Cert = "", &access.CertAuth{Role: "syncer"}
		w.cfg.CAFile = w.file("ca", ca.pem)
		crt, key := ca.issue("one")
		w.cfg.ClientCertFile, w.cfg.ClientKeyFile = w.file("crt", crt), w.file("key", key)
	})
	w.put("db", map[string]any{"a": "1"})
	db := w.source("db")
	w.holds(db, 1)
	if role.Load() != "one" {
		t.Errorf("logged in as %v", role.Load())
	}
	crt, key := other.issue("two")
	w.file("crt", crt)
	w.file("key", key)
	w.until("a login with the other certificate", func() bool { return role.Load() == "two" })
	w.holds(db, w.put("db", map[string]any{"a": "2"}))
	// A server that no longer trusts it says so.
	only := x509.NewCertPool()
	only.AddCert(ca.certificate)
	s.clients.Store(only)
	s.CloseClientConnections()
	db.Refresh()
	w.down(fault.ReasonVaultUnavailable, "client certificate")
}

func TestMistakesAboutTLSAreTold(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	for name, test := range map[string]struct {
		configure func(*world, *secured)
		says      string
	}{
		"plain HTTP to a TLS port": {func(w *world, _ *secured) { w.cfg.Address = strings.Replace(w.cfg.Address, "https", "http", 1) }, "speaks HTTPS"},
		"TLS to a plain port":      {func(w *world, _ *secured) { w.cfg.Address = strings.Replace(w.vault.Address, "http", "https", 1) }, "speaks plain HTTP"},
		"another name":             {func(w *world, _ *secured) { w.cfg.ServerName = "vault.example.org" }, "certificate is for another name"},
		"no client certificate": {func(_ *world, s *secured) {
			pool := x509.NewCertPool()
			pool.AddCert(ca.certificate)
			s.clients.Store(pool)
		}, "client certificate"},
		"nobody there":             {func(w *world, _ *secured) { w.cfg.Address = "https://127.0.0.1:1" }, "connection is refused"},
		"a host that is not there": {func(w *world, _ *secured) { w.cfg.Address = "https://vault.invalid" }, "host name is not resolved"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s secured
			s.server.Store(ca.pair("localhost"))
			w := newWorld(t, s.start, func(w *world) {
				w.cfg.CAFile = w.file("ca", ca.pem)
				test.configure(w, &s)
			})
			if o := w.down(fault.ReasonVaultUnavailable, test.says); !o.Again {
				t.Errorf("%q", o.Message)
			}
			w.logged("vault unusable", "detail=")
		})
	}
}
