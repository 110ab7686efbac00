package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// authority signs certificates of the tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pem() []byte { return certPEM(a.cert) }

// issue makes a certificate for the loopback address and for a client.
func (a *authority) issue(t *testing.T) (pair tls.Certificate, cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "us"}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})
	pair, err = tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair, cert, key
}

// door stands in front of the shared cluster with a certificate and a lock of
// its own: it lets in whoever shows the token, or a certificate of an authority.
type door struct {
	t       *testing.T
	dir     string
	url     string
	cert    atomic.Pointer[tls.Certificate]
	tokens  atomic.Pointer[[]string] // nil: none is needed
	clients atomic.Pointer[authority]
	server  *httptest.Server

	mu       sync.Mutex
	requests map[string]int // by path
}

func newDoor(t *testing.T) *door {
	t.Helper()
	stack, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	cluster := stack.Cluster("production")
	transport, err := rest.TransportFor(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(cluster.URL)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t, dir: t.TempDir(), requests: make(map[string]int)}
	forward := &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Authorization")
	}}
	d.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.requests[r.URL.Path]++
		d.mu.Unlock()
		if !d.knows(r) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	d.server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{ClientAuth: tls.RequestClientCert, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{*d.cert.Load()}}, nil
	}}
	d.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	d.server.StartTLS()
	t.Cleanup(func() { d.server.CloseClientConnections(); d.server.Close() })
	d.url = d.server.URL
	return d
}

func (d *door) knows(r *http.Request) bool {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if known := d.tokens.Load(); known != nil && !slices.Contains(*known, token) {
		return false
	}
	if a := d.clients.Load(); a != nil {
		pool := x509.NewCertPool()
		pool.AddCert(a.cert)
		if len(r.TLS.PeerCertificates) == 0 {
			return false
		}
		_, err := r.TLS.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return err == nil
	}
	return true
}

// admits lets in who shows one of these tokens.
func (d *door) admits(tokens ...string) { d.tokens.Store(&tokens) }

// connections is how often a connection was made: each asks for the version once.
func (d *door) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests["/version"]
}

// connected waits until a world's first connection is counted, which may be usable before, and returns how
// many there are.
func (d *door) connected(w *world) int {
	d.t.Helper()
	w.until("connected", func() bool { return d.connections() > 0 })
	return d.connections()
}

// serves takes a certificate of another authority, and drops everybody.
func (d *door) serves(a *authority) {
	pair, _, _ := a.issue(d.t)
	d.cert.Store(&pair)
	d.server.CloseClientConnections()
}

// file writes a file that leads to the door.
func (d *door) file(name string, content []byte) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	replaceFile(d.t, path, content)
	return path
}

// replaceFile writes a file that is never seen half written.
func replaceFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// kubeconfig writes a kubeconfig that leads to the door.
func (d *door) kubeconfig(change func(*clientcmdapi.Cluster, *clientcmdapi.AuthInfo)) string {
	d.t.Helper()
	c := clientcmdapi.NewConfig()
	cluster, user := &clientcmdapi.Cluster{Server: d.url}, &clientcmdapi.AuthInfo{}
	change(cluster, user)
	c.Clusters["x"], c.AuthInfos["x"], c.Contexts["x"] = cluster, user, &clientcmdapi.Context{Cluster: "x", AuthInfo: "x"}
	c.CurrentContext = "x"
	content, err := clientcmd.Write(*c)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.file("kubeconfig", content)
}
