package kube

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// way is how a cluster is reached, with every file read that leads there: it
// names no file any more but tokenFile, so that nothing below it reads one
// behind our back.
type way struct {
	rest      *rest.Config
	token     string // as it was read last
	tokenFile string // where it comes from; followed without a new connection
	plugin    *clientcmdapi.ExecConfig
	print     [sha256.Size]byte // of all of it but what tokenFile holds
}

// blocked says why there is no way to a cluster.
type blocked struct {
	said   string // fit for tenants
	detail error  // names files and addresses: for the log
}

func (b *blocked) Error() string { return b.said }

// way reads the files that lead to the cluster.
func (c Config) way() (*way, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, err
	}
	if err := rest.LoadTLSFiles(cfg); err != nil {
		return nil, &blocked{"a certificate file for it can't be read", err}
	}
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = "", "", ""
	w := &way{rest: cfg, token: cfg.BearerToken, tokenFile: cfg.BearerTokenFile, plugin: cfg.ExecProvider}
	cfg.BearerToken, cfg.BearerTokenFile, cfg.ExecProvider = "", "", nil
	if w.tokenFile != "" {
		if w.token, err = readToken(w.tokenFile); err != nil {
			return nil, &blocked{"the token file for it can't be read", err}
		}
	}
	w.print = w.fingerprint()
	return w, nil
}

func (c Config) load() (*rest.Config, error) {
	switch {
	case c.REST != nil:
		return rest.CopyConfig(c.REST), nil
	case c.Kubeconfig == "":
		cfg, err := rest.InClusterConfig()
		if err != nil {
			return nil, &blocked{"no kubeconfig is given for it, and the server runs in no pod with a service account", err}
		}
		return cfg, nil
	}
	switch content, err := os.ReadFile(c.Kubeconfig); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &blocked{"its kubeconfig does not exist", err}
	case err != nil:
		return nil, &blocked{"its kubeconfig can't be read", err}
	case len(strings.TrimSpace(string(content))) == 0:
		return nil, &blocked{"its kubeconfig is empty", errors.New(c.Kubeconfig + " is empty")}
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	parsed, err := rules.Load()
	if err != nil {
		return nil, &blocked{"its kubeconfig is malformed", err}
	}
	// Not the deferred loading of the library: that takes the pod's own cluster
	// for one whose file says nothing.
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*parsed, c.Context, nil, rules).ClientConfig()
	switch {
	case err != nil:
		return nil, &blocked{"its kubeconfig does not lead to a cluster", err}
	case cfg.Host == "":
		return nil, &blocked{"its kubeconfig names no server", errors.New(c.Kubeconfig + ": the context leads to a cluster without a server")}
	}
	return cfg, nil
}

// readToken reads a token file; one that holds nothing is as bad as none.
func readToken(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", errors.New(file + " is empty")
	}
	return token, nil
}

// fingerprint tells whether two ways are the same.
func (w *way) fingerprint() (sum [sha256.Size]byte) {
	c := w.rest
	proxy := ""
	if c.Proxy != nil {
		if r, err := http.NewRequest(http.MethodGet, c.Host, nil); err == nil {
			if u, err := c.Proxy(r); err == nil && u != nil {
				proxy = u.String()
			}
		}
	}
	static := w.token
	if w.tokenFile != "" {
		static = ""
	}
	h := sha256.New()
	// Each of these can be encoded.
	_ = json.NewEncoder(h).Encode([]any{
		c.Host, c.APIPath, c.Username, c.Password, c.Impersonate, c.Insecure, c.ServerName, c.NextProtos, c.CAData, c.CertData,
		c.KeyData, c.DisableCompression, proxy, static, w.tokenFile, w.plugin, c.AuthProvider,
	})
	h.Sum(sum[:0])
	return sum
}

// bearer sends the token that it was given last with every request.
type bearer struct {
	token atomic.Pointer[string]
	next  http.RoundTripper
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if token := b.token.Load(); token != nil && *token != "" && r.Header.Get("Authorization") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+*token)
	}
	return b.next.RoundTrip(r)
}

// CloseIdleConnections is looked for by http.Client.
func (b *bearer) CloseIdleConnections() { utilnet.CloseIdleConnectionsFor(b.next) }

// WrappedRoundTripper lets client-go find the transport.
func (b *bearer) WrappedRoundTripper() http.RoundTripper { return b.next }
