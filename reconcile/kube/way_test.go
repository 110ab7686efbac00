package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/refusal"
)

func TestAWayThatIsBlockedIsAnOutageAndIsFollowed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content string // "-": there is no file
		says    string
	}{
		"no kubeconfig":               {"-", "its kubeconfig does not exist"},
		"an empty one":                {"\n", "its kubeconfig is empty"},
		"one that is cut short":       {"apiVersion: v1\nclusters: [", "its kubeconfig is malformed"},
		"one without a cluster":       {"apiVersion: v1\nkind: Config\n", "does not lead to a cluster"},
		"one whose context is absent": {"apiVersion: v1\nkind: Config\ncurrent-context: x\n", "does not lead to a cluster"},
		"one that names no server":    {"apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{name: x, cluster: {}}]\nusers: [{name: x}]\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n", "does not lead to a cluster"},
		"a certificate that is gone":  {"apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{name: x, cluster: {server: 'https://127.0.0.1:1', certificate-authority: /nowhere/ca.crt}}]\nusers: [{name: x}]\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n", "does not lead to a cluster"},
		"a token file that is gone":   {"apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: x, user: {tokenFile: /nowhere/token}}]\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n", "does not lead to a cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "kubeconfig")
			if test.content != "-" {
				replaceFile(t, file, []byte(test.content))
			}
			w := newWorld(t, func(w *world) { w.config.Kubeconfig, w.config.Interval = file, time.Hour })
			var down *fault.Outage
			w.until("away", func() bool { down = w.c.Outage(); return down != nil && down.Reason == fault.ReasonClusterUnreachable })
			if !strings.Contains(down.Message, test.says) || strings.Contains(down.Message, file) || strings.Contains(down.Message, "/nowhere") || !strings.Contains(w.logs.String(), "detail=") {
				t.Errorf("%q", down.Message)
			}
			content, err := os.ReadFile(w.real.Kubeconfig)
			w.must(err)
			replaceFile(t, file, content)
			w.c.Reread()
			w.up()
			if n := strings.Count(w.logs.String(), "cluster unusable"); n != 1 {
				t.Errorf("logged %d times", n)
			}
		})
	}
}

func TestFilesThatLeadToTheClusterAreFollowed(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"by itself", "when it is told"} {
		interval := 200 * time.Millisecond
		if by == "when it is told" {
			interval = time.Hour
		}
		t.Run("the authority, "+by, func(t *testing.T) {
			t.Parallel()
			d, one, two := newDoor(t), newAuthority(t), newAuthority(t)
			d.serves(one)
			file := d.file("ca.crt", one.pem())
			w := newWorld(t, func(w *world) {
				w.config.Interval = interval
				w.config.Kubeconfig = d.kubeconfig(func(c *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) { c.CertificateAuthority = file })
			}).up()
			d.serves(two)
			w.until("away", func() bool {
				down := w.c.Outage()
				return down != nil && strings.Contains(down.Message, "authority that we don't know")
			})
			d.file("ca.crt", two.pem())
			w.c.Reread()
			w.up()
			w.create(w.desired("db", 1, "a=1"))
		})
		t.Run("the kubeconfig, "+by, func(t *testing.T) {
			t.Parallel()
			d, a := newDoor(t), newAuthority(t)
			d.serves(a)
			const one, two = "one", "two"
			d.admits(one, two)
			leads := func(token string) string {
				return d.kubeconfig(func(c *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) {
					c.CertificateAuthorityData, u.Token = a.pem(), token
				})
			}
			w := newWorld(t, func(w *world) { w.config.Kubeconfig, w.config.Interval = leads(one), interval }).up()
			before := d.connected(w)
			// Nothing differs: nobody is disturbed.
			leads(one)
			w.c.Reread()
			w.c.Configure(w.config)
			// It is broken: what is in force stays.
			d.file("kubeconfig", []byte("{"))
			w.c.Reread()
			w.until("told", func() bool { return strings.Contains(w.logs.String(), "can't be used; the connection stays as it is") })
			w.create(w.desired("db", 1, "a=1"))
			if n := d.connections(); n != before || w.told.all("") != 1 {
				t.Errorf("%d connections, of %d", n, before)
			}
			// Another token that still works, and then the old one is refused.
			leads(two)
			d.admits(two)
			w.c.Reread()
			w.until("connected anew", func() bool { return d.connections() == before+1 })
			w.up()
			w.create(w.desired("db2", 1, "a=1"))
		})
		t.Run("a token file, "+by, func(t *testing.T) {
			t.Parallel()
			d, a := newDoor(t), newAuthority(t)
			d.serves(a)
			const one, two = "one", "two"
			d.admits(one, two)
			file := d.file("token", []byte(one+"\n"))
			w := newWorld(t, func(w *world) {
				w.config.Interval = interval
				w.config.Kubeconfig = d.kubeconfig(func(c *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) {
					c.CertificateAuthorityData, u.TokenFile = a.pem(), file
				})
			}).up()
			before := d.connected(w)
			d.file("token", []byte(two))
			w.c.Reread()
			w.until("taken in", func() bool { return strings.Contains(w.logs.String(), "another token was read") })
			d.admits(two)
			w.create(w.desired("db", 1, "a=1"))
			if n := d.connections(); n != before || w.told.all("") != 1 {
				t.Errorf("%d connections, of %d: a token that is renewed needs no new one", n, before)
			}
		})
		t.Run("a client certificate, "+by, func(t *testing.T) {
			t.Parallel()
			d, a, clients := newDoor(t), newAuthority(t), newAuthority(t)
			d.serves(a)
			d.clients.Store(clients)
			_, cert, key := clients.issue(t)
			certFile, keyFile := d.file("tls.crt", cert), d.file("tls.key", key)
			w := newWorld(t, func(w *world) {
				w.config.Interval = interval
				w.config.Kubeconfig = d.kubeconfig(func(c *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) {
					c.CertificateAuthorityData, u.ClientCertificate, u.ClientKey = a.pem(), certFile, keyFile
				})
			}).up()
			before := d.connected(w)
			other := newAuthority(t)
			_, cert, key = other.issue(t)
			// For a moment only one of the two is new: what is in force stays.
			d.file("tls.crt", cert)
			w.c.Reread()
			w.until("told", func() bool { return strings.Contains(w.logs.String(), "can't be used; the connection stays as it is") })
			if d.connections() != before {
				t.Error("it was connected anew with half of it")
			}
			d.clients.Store(other)
			d.file("tls.key", key)
			w.c.Reread()
			w.until("connected anew", func() bool { return d.connections() > before && w.c.Outage() == nil })
			w.create(w.desired("db", 1, "a=1"))
		})
	}
}

func TestCredentialsThatAreRefused(t *testing.T) {
	t.Parallel()
	d, a := newDoor(t), newAuthority(t)
	d.serves(a)
	const one, two = "one", "two"
	d.admits(one)
	file := d.file("token", []byte(one))
	w := newWorld(t, func(w *world) {
		w.config.Interval = time.Hour
		w.config.Kubeconfig = d.kubeconfig(func(c *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) {
			c.CertificateAuthorityData, u.TokenFile = a.pem(), file
		})
	}).up()
	w.until("watching", func() bool { return w.metrics.of("watch") >= 2 })
	// The file holds another already: one request pays for it, nothing else.
	d.file("token", []byte(two))
	d.admits(two)
	if _, err := w.c.Create(w.ctx, w.desired("db", 1, "a=1")); refusal.KindOf(err) != refusal.Unauthorized {
		t.Errorf("%v", err)
	}
	w.until("taken in", func() bool { return strings.Contains(w.logs.String(), "another token was read") })
	w.create(w.desired("db", 1, "a=1"))
	if w.told.all("") != 1 {
		t.Error("the cluster was taken for away")
	}
	// It does not: that is the whole cluster's.
	d.admits(one)
	if _, err := w.c.Create(w.ctx, w.desired("db2", 1, "a=1")); refusal.KindOf(err) != refusal.Unauthorized {
		t.Errorf("%v", err)
	}
	w.until("away", func() bool { down := w.c.Outage(); return down != nil && down.Reason == fault.ReasonForbidden })
	if _, err := w.c.Create(w.ctx, w.desired("db2", 1, "a=1")); refusal.KindOf(err) != refusal.Unavailable || !strings.Contains(err.Error(), "credentials") {
		t.Errorf("%v", err)
	}
	d.file("token", []byte(one))
	w.c.Reread()
	w.up()
}

func TestSettingsChangeInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	cfg := w.config
	cfg.QPS, cfg.Timeout, cfg.ListTimeout, cfg.Namespaces = 1000, deadline/3, time.Minute, []string{"x-*"}
	// By another file that leads the same way.
	content, err := os.ReadFile(cfg.Kubeconfig)
	w.must(err)
	cfg.Kubeconfig = filepath.Join(t.TempDir(), "same")
	replaceFile(t, cfg.Kubeconfig, content)
	lists := w.metrics.of("list")
	w.c.Configure(cfg)
	w.create(w.desired("db", 1, "a=1"))
	if w.metrics.of("list") != lists || w.told.all("") != 1 || w.c.Outage() != nil {
		t.Error("it was connected anew")
	}
	if w.c.limiter.Limit() != 1000 {
		t.Error("the limit is not in force")
	}
}

func TestMistakesOfTheConfigurationItself(t *testing.T) {
	for name, test := range map[string]struct {
		c    Config
		says string
	}{
		"none":                   {Config{Name: "x", Kubeconfig: "/nowhere"}, ""},
		"no name":                {Config{}, "without a name"},
		"a context of no file":   {Config{Name: "x", Context: "y"}, "without a kubeconfig"},
		"a negative limit":       {Config{Name: "x", Timeout: -1}, "negative"},
		"a pattern that is none": {Config{Name: "x", Namespaces: []string{"[a"}}, "malformed"},
	} {
		err := test.c.Check()
		if (test.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := (Config{}); c.timeout() != DefaultTimeout || c.listTimeout() != DefaultListTimeout || c.interval() != DefaultInterval {
		t.Error(fmt.Sprint(c))
	}
}
