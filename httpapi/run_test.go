package httpapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/gitstoretest"
	"secretsync/gitstore/operation"
	"secretsync/httpapi/probes"
	"secretsync/httpapi/tenants"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// writeCertificate makes a self-signed certificate for 127.0.0.1, for an hour.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) *x509.CertPool {
	t.Helper()
	return writeCertificateUntil(t, certFile, keyFile, serial, time.Now().Add(time.Hour))
}

func writeCertificateUntil(t *testing.T, certFile, keyFile string, serial int64, end time.Time) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return pool
}

func TestTLSFollowsTheCertificateFiles(t *testing.T) {
	clock := newHand()
	cert, key := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	pool := writeCertificate(t, cert, key, 1)
	w := newWorld(t, func(c *Config) { c.CertFile, c.KeyFile, c.Clock = cert, key, clock })
	addr := w.running()

	get := func(config *tls.Config) (*http.Response, error) {
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		r, err := (&http.Client{Transport: transport}).Get("https://" + addr + "/healthz")
		if err == nil {
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
		return r, err
	}
	r, err := get(&tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	if r.ProtoMajor != 2 || r.TLS.Version != tls.VersionTLS13 {
		t.Errorf("HTTP/%d over TLS %x; want HTTP/2 over TLS 1.3", r.ProtoMajor, r.TLS.Version)
	}
	if !strings.HasPrefix(r.Header.Get("Strict-Transport-Security"), "max-age=") {
		t.Errorf("Strict-Transport-Security is %q", r.Header.Get("Strict-Transport-Security"))
	}
	if _, err := get(&tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS12}); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	one := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, Protocols: new(http.Protocols)}
	one.Protocols.SetHTTP1(true)
	defer one.CloseIdleConnections()
	if r, err := (&http.Client{Transport: one}).Get("https://" + addr + "/healthz"); err != nil {
		t.Errorf("HTTP/1.1 over TLS: %v", err)
	} else if r.Body.Close(); r.ProtoMajor != 1 || r.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("HTTP/%d over TLS with %v; want HTTP/1.1, marked as secured", r.ProtoMajor, r.Header)
	}
	if _, err := get(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}

	serial := func() int64 {
		t.Helper()
		clock.advance(5 * time.Second)
		r, err := get(&tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		return r.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	writeCertificate(t, cert, key, 2)
	touch(t, cert, time.Minute)
	if got := serial(); got != 2 {
		t.Errorf("after a renewal certificate %d is served; want 2", got)
	}
	if err := os.WriteFile(cert, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("with a broken file certificate %d is served; want the old one, 2", got)
	}
	if !strings.Contains(w.logs.String(), "new certificate refused") {
		t.Error("the log does not say that the new one was refused")
	}
	writeCertificate(t, cert, key, 3)
	touch(t, cert, 2*time.Minute)
	if got := serial(); got != 3 {
		t.Errorf("after the repair certificate %d is served; want 3", got)
	}
}

// touch makes a file look changed even where its size and second are the same.
func touch(t *testing.T, file string, later time.Duration) {
	t.Helper()
	at := time.Now().Add(later)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestRunFailsOnACertificateThatIsNone(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Listen, c.CertFile, c.KeyFile = "127.0.0.1:0", "/nowhere/tls.crt", "/nowhere/tls.key"
	})
	if err := w.server.Run(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/nowhere/tls.crt") {
		t.Errorf("error %v; want one that names the file", err)
	}
}

func TestAnAddressInUseIsAnErrorAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w := newWorld(t, func(c *Config) { c.Listen = taken.Addr().String() })
	if err := w.server.Run(t.Context()); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("error %v; want one that names the address", err)
	}
}

func TestMetricsOnAnAddressOfTheirOwn(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MetricsListen = "127.0.0.1:0" })
	api := "http://" + w.running()
	metrics := "http://" + w.server.bound.metrics.Addr().String()
	for url, want := range map[string]int{
		api + "/healthz": 200, api + "/readyz": 200, api + "/metrics": 404,
		metrics + "/healthz": 200, metrics + "/readyz": 200, metrics + "/metrics": 200,
		metrics + "/api/v1/tenants/acme": 401, metrics + "/api/v1/openapi.json": 404,
	} {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d %s; want %d", url, r.StatusCode, body, want)
		}
		if strings.HasSuffix(url, "/metrics") && want == 200 && !strings.Contains(string(body), "secretsync_http_requests_in_flight") {
			t.Errorf("metrics lack those of requests:\n%s", body)
		}
	}
}

func TestARepositoryThatCannotBeReadIsNotAnsweredAsEmpty(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	if out, err := exec.Command("git", "init", "-q", "--bare", filepath.Join(dir, "acme.git")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "acme.git/refs/heads/main"), []byte("no commit\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	store := gitstoretest.MustOpen(t, gitstore.Config{Dir: dir})
	settings := w.settings
	settings.Tenants = slices.Clone(w.settings.Tenants)
	settings.Tenants[0].Repository = store.MustRepository("acme").Repository
	w.reconfigure(settings)
	for _, path := range []string{"", "/secrets", "/secrets/db", "/secrets/db?wait=Active", "/secrets/db/history"} {
		r := w.do("GET", "/api/v1/tenants/acme"+path, w.reader, "")
		if r.status != 503 || r.header.Get("Retry-After") == "" || !strings.Contains(w.errorOf(r), "can't be read") {
			t.Errorf("%s: %d %s", r.call, r.status, r.body)
		}
	}
	for method, path := range map[string]string{"POST": "/secrets/db/sync", "PATCH": "/secrets/db", "DELETE": "/secrets/db"} {
		r := w.do(method, "/api/v1/tenants/acme"+path, w.admin, map[string]string{"PATCH": `{"sync":[]}`}[method])
		if r.status != 503 {
			t.Errorf("%s: %d %s", r.call, r.status, r.body)
		}
	}
}

func TestATenantIsToldOfFilesThatAreNoDefinitions(t *testing.T) {
	w := newWorld(t)
	tell := func() string { return string(w.do("GET", "/api/v1/tenants/acme", w.reader, "").body) }
	w.push("secrets/db.yaml", "name: db\nsecretPath: a\n")
	if got := tell(); !strings.Contains(got, `"status":{"phase":"Active"}`) {
		t.Errorf("a repository without mistakes: %s", got)
	}
	w.push("secrets/smtp.yml", "name: smtp\nsecretPath: a\n")
	if got := tell(); !strings.Contains(got, `"phase":"Active","problems":["secrets/smtp.yml: `) {
		t.Errorf("a misnamed file: %s", got)
	}
}

// troubled is a repository that has a problem and works.
type troubled struct{ tenants.Repository }

func (troubled) Problems() []string {
	return []string{`branch "main" is not there, but "master" is`}
}

func TestATenantIsToldOfProblemsOfTheRepository(t *testing.T) {
	w := newWorld(t)
	w.push("secrets/smtp.yml", "name: smtp\nsecretPath: a\n")
	settings := w.settings
	settings.Tenants = slices.Clone(w.settings.Tenants)
	settings.Tenants[0].Repository = troubled{w.repository}
	w.reconfigure(settings)
	const want = `"phase":"Active","problems":["branch \"main\" is not there, but \"master\" is","secrets/smtp.yml: `
	if got := string(w.do("GET", "/api/v1/tenants/acme", w.reader, "").body); !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestATenantIsToldThatItIsSuspended(t *testing.T) {
	w := newWorld(t)
	w.reconciler.suspended = true
	const want = `"status":{"phase":"Pending","problems":["suspended by the operator"]}`
	if got := string(w.do("GET", "/api/v1/tenants/acme", w.reader, "").body); !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// mirrored is a repository that is a mirror of another, as fresh as it says.
type mirrored struct {
	tenants.Repository
	fresh gitstore.Freshness
}

func (m mirrored) Freshness() gitstore.Freshness { return m.fresh }

func TestATenantIsToldWhereTheRepositoryIsAndHowOldItsMirror(t *testing.T) {
	w := newWorld(t)
	const url = "https://forge.example.com/acme.git"
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for want, fresh := range map[string]gitstore.Freshness{
		`"createdAt":`: {},
		`"repository":{"url":"` + url + `","fetchedAt":null},"status"`:                                              {Remote: url},
		`"repository":{"url":"` + url + `","fetchedAt":"2026-01-31T12:00:00Z"},"status"`:                            {Remote: url, Fetched: at, Confirmed: true},
		`"fetchedAt":"2026-01-31T12:00:00Z","problem":"it can't be fetched now"},"status":{"phase":"Active"`:        {Remote: url, Fetched: at, Failing: errors.New("open /etc/token: no")},
		`"fetchedAt":"2026-01-31T12:00:00Z","problem":"the repository is being opened"},"status":{"phase":"Active"`: {Remote: url, Fetched: at, Failing: gitstore.ErrOpening},
	} {
		settings := w.settings
		settings.Tenants = slices.Clone(w.settings.Tenants)
		settings.Tenants[0].Repository = mirrored{w.repository, fresh}
		w.reconfigure(settings)
		got := string(w.do("GET", "/api/v1/tenants/acme", w.reader, "").body)
		if !strings.Contains(got, want) || fresh.Remote == "" && strings.Contains(got, `"repository"`) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestReadinessCountsRepositoriesAndNamesNone(t *testing.T) {
	ofOneServer(t, "the replica that was asked answers /readyz itself, and the story breaks another's repositories")
	w := newWorld(t)
	for broken, want := range []string{
		`200 {"status":"ready","unhealthyRepositories":0,"openingRepositories":0}`,
		`200 {"status":"ready","unhealthyRepositories":1,"openingRepositories":0}`,
		`503 {"error":"no repository can be used now; the log names the cause"}`,
	} {
		settings := w.settings
		settings.Tenants = slices.Clone(w.settings.Tenants)
		for i := range broken {
			settings.Tenants[i].Repository = brokenRepository{w.repository, gitstore.ErrUnavailable}
		}
		w.reconfigure(settings)
		r := w.do("GET", "/readyz", "", "")
		if got := fmt.Sprintf("%d %s", r.status, strings.TrimSpace(string(r.body))); got != want {
			t.Errorf("with %d of 2 broken: %s; want %s", broken, got, want)
		}
	}
}

func TestReadinessWaitsForRepositoriesThatAreBeingOpenedButNotForEver(t *testing.T) {
	ofOneServer(t, "the replica that was asked answers /readyz itself, and the story opens another's repositories")
	clock := clocktesting.NewFakePassiveClock(time.Now())
	w := newWorld(t, func(c *Config) { c.Clock = clock })
	opening := fmt.Errorf("%w: %w", gitstore.ErrUnavailable, gitstore.ErrOpening)
	one, both := slices.Clone(w.settings.Tenants), slices.Clone(w.settings.Tenants)
	one[0].Repository = brokenRepository{w.repository, opening}
	for i := range both {
		both[i].Repository = brokenRepository{w.repository, opening}
	}
	for _, step := range []struct {
		when    string
		later   time.Duration
		tenants []tenants.Tenant
		want    string
	}{
		{"at the start", 0, one, `503 {"error":"the repositories are being opened: 1 of 2 still are"}`},
		{"after a while, with one that takes long", probes.OpeningPatience, one, `200 {"status":"ready","unhealthyRepositories":0,"openingRepositories":1}`},
		{"with nobody to answer for", 0, both, `503 {"error":"the repositories are being opened: 2 of 2 still are"}`},
		{"when all are open", 0, w.settings.Tenants, `200 {"status":"ready","unhealthyRepositories":0,"openingRepositories":0}`},
		{"when one came with a new configuration", -probes.OpeningPatience, one, `200 {"status":"ready","unhealthyRepositories":0,"openingRepositories":1}`},
	} {
		clock.SetTime(clock.Now().Add(step.later))
		settings := w.settings
		settings.Tenants = step.tenants
		w.reconfigure(settings)
		r := w.do("GET", "/readyz", "", "")
		if got := fmt.Sprintf("%d %s", r.status, strings.TrimSpace(string(r.body))); got != step.want {
			t.Errorf("%s: %s; want %s", step.when, got, step.want)
		}
		if r.status == 503 && r.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", step.when)
		}
	}
}

// slowRepository holds a write until it is let go.
type slowRepository struct {
	tenants.Repository
	entered, release chan struct{}
}

func (s slowRepository) Apply(ctx context.Context, by gitstore.Attribution, how operation.Handling, operations ...operation.Operation) ([]operation.Written, error) {
	close(s.entered)
	<-s.release
	return s.Repository.Apply(ctx, by, how, operations...)
}

func TestAnOrderlyEndLetsRequestsFinishAndLeavesNothing(t *testing.T) {
	slow := slowRepository{entered: make(chan struct{}), release: make(chan struct{})}
	w := newWorld(t, func(c *Config) {
		slow.Repository = c.Tenants[0].Repository
		c.Tenants[0].Repository = slow
		c.Listen = "127.0.0.1:0"
	})
	before := goleak.IgnoreCurrent()
	if err := w.server.Listen(); err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + w.server.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(ctx) }()

	answered := make(chan reply, 1)
	go func() {
		answered <- w.do("POST", "/api/v1/tenants/acme/secrets", w.admin, `{"name":"db-password","secretPath":"a"}`, "Connection: close")
	}()
	<-slow.entered
	cancel()
	<-w.server.serving.Done()
	close(slow.release)
	if r := <-answered; r.status != 201 {
		t.Errorf("the request under way: %d %s; want 201", r.status, r.body)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if c, err := net.Dial("tcp", w.server.Addr().String()); err == nil {
		c.Close()
		t.Error("the server still accepts connections")
	}
	// It looks again itself, for half a second.
	for end := time.Now().Add(time.Minute); ; {
		err := goleak.Find(before)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// Load balancers find out by /readyz, and go on sending till they have.
func TestAServerThatIsToldToEndServesOnWhileItIsNotReady(t *testing.T) {
	told, over := make(chan time.Duration, 1), make(chan time.Time)
	w := newWorld(t, func(c *Config) { c.Listen, c.Drain = "127.0.0.1:0", 5*time.Second })
	w.server.after = func(d time.Duration) <-chan time.Time {
		told <- d
		return over
	}
	if err := w.server.Listen(); err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + w.server.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(ctx) }()

	if r := w.do("GET", "/readyz", "", ""); r.status != 200 {
		t.Errorf("before: %d", r.status)
	}
	cancel()
	select {
	case d := <-told:
		if d != 5*time.Second {
			t.Errorf("it drains for %v", d)
		}
	case err := <-ended:
		t.Fatalf("it ended without a drain: %v", err)
	}
	if r := w.do("GET", "/readyz", "", ""); r.status != 503 || !strings.Contains(string(r.body), "shutting down") {
		t.Errorf("while it drains /readyz says %d %s", r.status, r.body)
	}
	if r := w.do("GET", "/healthz", "", ""); r.status != 200 {
		t.Errorf("while it drains /healthz says %d", r.status)
	}
	if r := w.do("POST", "/api/v1/tenants/acme/secrets", w.admin, `{"name":"db-password","secretPath":"a"}`); r.status != 201 {
		t.Errorf("while it drains a write is answered with %d %s", r.status, r.body)
	}
	if r := raw(t, w.server.Addr().String(), "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.Contains(r, "Connection: close") {
		t.Errorf("while it drains connections are kept:\n%s", r)
	}
	close(over)
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if c, err := net.Dial("tcp", w.server.Addr().String()); err == nil {
		c.Close()
		t.Error("the server still accepts connections")
	}
}

func TestAnOrderlyEndDoesNotWaitForWaiters(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Listen = "127.0.0.1:0" })
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a","sync":[{"cluster":"nowhere","namespace":"x"}]}`)
	asked := w.reconciler.awaited()
	w.reconciler.set(func(*catalog.Entry) status.Status {
		return status.Status{Phase: status.Failed, Ready: status.Condition{Reason: fault.ReasonForbidden}}
	})
	if err := w.server.Listen(); err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + w.server.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(ctx) }()
	answered := make(chan reply, 1)
	go func() {
		answered <- w.do("GET", "/api/v1/tenants/acme/secrets/db-password?wait=Active&timeout=5m", w.reader, "", "Connection: close")
	}()
	<-asked
	cancel()
	if r := <-answered; r.status != 200 || !strings.Contains(string(r.body), `"phase":"Failed"`) {
		t.Errorf("%d %s; want 200 with the status as it stands", r.status, r.body)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}
