package way

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Source says where the way to one cluster is written down.
type Source struct {
	// Kubeconfig is the path of a kubeconfig file, and Context the context in it
	// (empty: its current one). With neither Kubeconfig nor REST, the service account
	// of the pod is used.
	Kubeconfig string
	Context    string
	// REST is used instead of Kubeconfig if it is set. It is not changed.
	REST *rest.Config
}

// Way is how a cluster is reached, with every file read that leads there: it
// names no file any more but TokenFile, so that nothing below it reads one
// behind our back.
type Way struct {
	REST      *rest.Config             // without a token, a token file and a plugin
	Token     string                   // as it was read last
	TokenFile string                   // where it comes from; followed without a new connection
	Plugin    *clientcmdapi.ExecConfig // nil: none has to be asked for credentials
	print     [sha256.Size]byte        // of all of it but what TokenFile holds
}

// Blocked says why there is no way to a cluster.
type Blocked struct {
	Said   string // fit for tenants
	Detail error  // names files and addresses: for the log
}

func (b *Blocked) Error() string { return b.Said }

// Read reads the files that lead to the cluster. Its errors are [Blocked].
func Read(from Source) (*Way, error) {
	cfg, err := from.load()
	if err != nil {
		return nil, err
	}
	if err := rest.LoadTLSFiles(cfg); err != nil {
		return nil, &Blocked{"a certificate file for it can't be read", err}
	}
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = "", "", ""
	w := &Way{REST: cfg, Token: cfg.BearerToken, TokenFile: cfg.BearerTokenFile, Plugin: cfg.ExecProvider}
	cfg.BearerToken, cfg.BearerTokenFile, cfg.ExecProvider = "", "", nil
	if w.TokenFile != "" {
		if w.Token, err = ReadToken(w.TokenFile); err != nil {
			return nil, &Blocked{"the token file for it can't be read", err}
		}
	}
	w.print = w.fingerprint()
	return w, nil
}

func (from Source) load() (*rest.Config, error) {
	switch {
	case from.REST != nil:
		return rest.CopyConfig(from.REST), nil
	case from.Kubeconfig == "":
		cfg, err := rest.InClusterConfig()
		if err != nil {
			return nil, &Blocked{"no kubeconfig is given for it, and the server runs in no pod with a service account", err}
		}
		return cfg, nil
	}
	switch content, err := os.ReadFile(from.Kubeconfig); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Blocked{"its kubeconfig does not exist", err}
	case err != nil:
		return nil, &Blocked{"its kubeconfig can't be read", err}
	case len(strings.TrimSpace(string(content))) == 0:
		return nil, &Blocked{"its kubeconfig is empty", errors.New(from.Kubeconfig + " is empty")}
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: from.Kubeconfig}
	parsed, err := rules.Load()
	if err != nil {
		return nil, &Blocked{"its kubeconfig is malformed", err}
	}
	// Not the deferred loading of the library: that takes the pod's own cluster
	// for one whose file says nothing.
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*parsed, from.Context, nil, rules).ClientConfig()
	switch {
	case err != nil:
		return nil, &Blocked{"its kubeconfig does not lead to a cluster", err}
	case cfg.Host == "":
		return nil, &Blocked{"its kubeconfig names no server", errors.New(from.Kubeconfig + ": the context leads to a cluster without a server")}
	}
	return cfg, nil
}

// ReadToken reads a token file; one that holds nothing is as bad as none.
func ReadToken(file string) (string, error) {
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

// Same reports whether two ways are the same, whatever a token file holds.
func (w *Way) Same(o *Way) bool { return w.print == o.print }

// fingerprint is different for ways that are.
func (w *Way) fingerprint() (sum [sha256.Size]byte) {
	c := w.REST
	proxy := ""
	if c.Proxy != nil {
		if r, err := http.NewRequest(http.MethodGet, c.Host, nil); err == nil {
			if u, err := c.Proxy(r); err == nil && u != nil {
				proxy = u.String()
			}
		}
	}
	static := w.Token
	if w.TokenFile != "" {
		static = ""
	}
	h := sha256.New()
	// Each of these can be encoded.
	_ = json.NewEncoder(h).Encode([]any{
		c.Host, c.APIPath, c.Username, c.Password, c.Impersonate, c.Insecure, c.ServerName, c.NextProtos, c.CAData, c.CertData,
		c.KeyData, c.DisableCompression, proxy, static, w.TokenFile, w.Plugin, c.AuthProvider,
	})
	h.Sum(sum[:0])
	return sum
}
