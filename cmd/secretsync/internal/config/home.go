package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"secretsync/gitstore/definition"
)

// Home is the cluster that the server itself runs in, where it keeps what is its own:
// API keys, and Leases. It has nothing to do with the clusters that are synced to, even
// where it is one of them.
type Home struct {
	Kubeconfig string // empty: the pod's service account
	Context    string // of the kubeconfig; empty: its current one
	Namespace  string

	place string // where it stands in the configuration, for errors
}

type homeFile struct {
	Kubeconfig string `yaml:"kubeconfig"`
	Context    string `yaml:"context"`
	Namespace  string `yaml:"namespace"`
}

// podFolder is where a pod finds its service account. Tests have another.
var podFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// parseHome returns nil if the server has none. What only a pod can tell is a warning
// here: the configuration may be checked elsewhere.
func (d *document) parseHome() *Home {
	if _, given := d.lines["home"]; !given {
		return nil
	}
	h := &Home{Kubeconfig: d.file(d.Home.Kubeconfig), Context: d.Home.Context, Namespace: d.Home.Namespace, place: d.at("home")}
	otherwise := ""
	switch {
	case h.Kubeconfig != "":
		_, namespace, err := h.load()
		if err != nil {
			d.wrong("home.kubeconfig", "%v", err)
			return h
		}
		otherwise = namespace
	case h.Context != "":
		d.wrong("home.context", "is one of a kubeconfig; name that too, or leave the context out to use the pod's service account")
	default:
		if _, _, err := h.load(); err != nil {
			d.warn("home", "%v; the server will not start here", err)
		}
	}
	if h.Namespace == "" {
		mounted, err := os.ReadFile(podFolder + "/namespace")
		h.Namespace = cmp.Or(otherwise, strings.TrimSpace(string(mounted)))
		if h.Namespace == "" && h.Kubeconfig == "" {
			d.warn("home.namespace", "is missing, and is not known from a pod's service account: %v", err)
			return h
		}
	}
	if h.Namespace == "" {
		d.wrong("home.namespace", "is missing; name the namespace in which the server keeps what is its own")
	} else if _, err := definition.ParseNamespace(h.Namespace); err != nil {
		d.wrong("home.namespace", "%v", err)
	}
	return h
}

// Client returns what speaks to the cluster; it makes no request. It follows what it is
// let in by: token and certificate files, as client-go does, and the kubeconfig itself,
// in which a token may stand; only another address in it needs a restart. It limits the
// rate of requests by nothing but the server's own word (429), and their time not at all:
// each is to have a context that ends.
func (h *Home) Client() (kubernetes.Interface, error) {
	if h.Namespace == "" {
		return nil, fmt.Errorf("%s.namespace: is missing, and this is no pod that has one", h.place)
	}
	t := &followed{home: h, files: []string{h.Kubeconfig}}
	t.stamp = t.look()
	cfg, err := t.renew()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.place, err)
	}
	client, err := kubernetes.NewForConfigAndClient(cfg, &http.Client{Transport: t})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.place, err)
	}
	return client, nil
}

// Reserve has the grants of all tenants reach the namespace of a home only where they
// name it in full, in every cluster: it is not known which of them is the home's. Who
// may write there could take the names of Secrets that the server is yet to make, or
// add keys to those it has made.
func (c *Config) Reserve(h *Home) {
	if h == nil || h.Namespace == "" {
		return
	}
	for _, t := range c.Tenants {
		for name, g := range t.Grants {
			if !slices.Contains(g.ByName, h.Namespace) {
				g.ByName = append(slices.Clip(g.ByName), h.Namespace)
				t.Grants[name] = g
			}
		}
	}
}

// same reports whether two are the same cluster and place in it.
func (h *Home) same(other *Home) bool {
	if h == nil || other == nil {
		return h == other
	}
	return h.Kubeconfig == other.Kubeconfig && h.Context == other.Context && h.Namespace == other.Namespace
}

var errNoPod = errors.New("no kubeconfig is named, and this is no pod with a service account; name a kubeconfig and a namespace to run elsewhere")

// load reads how the cluster is reached, and which namespace the kubeconfig means.
func (h *Home) load() (cfg *rest.Config, namespace string, err error) {
	if h.Kubeconfig == "" {
		if cfg, err = rest.InClusterConfig(); err != nil {
			return nil, "", fmt.Errorf("%w (%w)", errNoPod, err)
		}
	} else {
		rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: h.Kubeconfig}
		parsed, err := rules.Load()
		if err != nil {
			return nil, "", fmt.Errorf("can't be read: %w", err)
		}
		// Not the deferred loading of the library: that takes the pod's own cluster
		// for one whose file says nothing.
		way := clientcmd.NewNonInteractiveClientConfig(*parsed, h.Context, nil, rules)
		if cfg, err = way.ClientConfig(); err != nil {
			return nil, "", fmt.Errorf("can't be used: %w", err)
		}
		name := cmp.Or(h.Context, parsed.CurrentContext)
		if named := parsed.Contexts[name]; named != nil {
			namespace = named.Namespace
		}
	}
	cfg.QPS, cfg.Burst = -1, 0
	cfg.UserAgent = "secretsync"
	cfg.WarningHandler = rest.NoWarnings{}
	return cfg, namespace, nil
}

// followed makes requests by what the files that lead to the cluster say now. client-go
// follows token and client certificate files by itself; not a kubeconfig, and not the
// file of the authority.
type followed struct {
	home *Home

	mu    sync.Mutex
	files []string
	stamp string
	next  http.RoundTripper
}

// renew reads the files.
func (f *followed) renew() (*rest.Config, error) {
	cfg, _, err := f.home.load()
	if err != nil {
		return nil, err
	}
	files := []string{f.home.Kubeconfig, cfg.CAFile}
	if cfg.CAFile != "" {
		// By its content, or client-go hands out the transport of the one before.
		if cfg.CAData, err = os.ReadFile(cfg.CAFile); err != nil {
			return nil, err
		}
		cfg.CAFile = ""
	}
	next, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, err
	}
	f.files, f.next = files, next
	return cfg, nil
}

// look returns what is another one when a file is.
func (f *followed) look() string {
	var b strings.Builder
	for _, file := range f.files {
		if info, err := os.Stat(file); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", file, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// RoundTrip makes one request. Files that can't be used change nothing: somebody may be
// about to replace them.
func (f *followed) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	if stamp := f.look(); stamp != f.stamp {
		if _, err := f.renew(); err == nil {
			f.stamp = stamp
		}
	}
	next := f.next
	f.mu.Unlock()
	return next.RoundTrip(r)
}

// CloseIdleConnections is looked for by http.Client.
func (f *followed) CloseIdleConnections() {
	f.mu.Lock()
	defer f.mu.Unlock()
	utilnet.CloseIdleConnectionsFor(f.next)
}
