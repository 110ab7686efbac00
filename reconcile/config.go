package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// Repository is what the reconciler needs to know of one tenant's repository.
// *gitstore.Repository is one.
type Repository interface {
	// Snapshot returns what is desired now.
	Snapshot() *gitstore.Snapshot
	// Wait blocks until the current snapshot is another one than after, and
	// returns it.
	Wait(ctx context.Context, after *gitstore.Snapshot) (*gitstore.Snapshot, error)
}

// Defaults of [Config] and its parts.
const (
	DefaultPollInterval   = time.Minute
	DefaultWorkers        = 32
	DefaultClusterWrites  = 32
	DefaultRequestTimeout = 15 * time.Second
)

// Config is everything a [Reconciler] works with.
type Config struct {
	Clusters []Cluster
	Tenants  []Tenant

	// HashKey keys the hash that every copy carries. At least 16 bytes; all
	// servers that serve the same clusters, and all restarts, need the same.
	HashKey []byte

	// PollInterval is how often the vault is asked whether a value changed.
	// Zero is DefaultPollInterval. The polls are spread evenly over it.
	PollInterval time.Duration
	// Workers is how many vault paths of one tenant are worked on at once.
	// Zero is DefaultWorkers.
	Workers int

	Clock   clock.WithTicker      // nil is the real clock
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
}

// Cluster is one physical cluster, registered once by the operator; tenants
// get grants on it.
type Cluster struct {
	// Name is the operator's name for it: unique, not seen by tenants.
	Name string
	// Kubeconfig is the path of a kubeconfig file, and Context the context in
	// it (empty: its current one). The file is read again when the cluster
	// refuses the credentials. With neither Kubeconfig nor REST, the service
	// account of the pod is used.
	Kubeconfig string
	Context    string
	// REST is used as it is if set, instead of Kubeconfig.
	REST *rest.Config
	// QPS limits our requests a second, with bursts of as many. Zero is no
	// limit: Writes bounds what is under way, and the server's own answers
	// (429 and Retry-After) are obeyed.
	QPS float32
	// Writes is the greatest number of writes under way at once. Zero is
	// DefaultClusterWrites.
	Writes int
	// Timeout bounds each request. Zero is DefaultRequestTimeout.
	Timeout time.Duration
}

// Tenant is one tenant: its repository, its vault and what it may reach.
type Tenant struct {
	Name       gitstore.TenantName
	Repository Repository
	Vault      Vault
	// Clusters maps the names that definitions use to what is granted.
	Clusters map[definition.ClusterName]Grant
	// PollInterval overrides Config.PollInterval if it is not zero.
	PollInterval time.Duration
}

// Grant lets a tenant reach namespaces of one cluster.
type Grant struct {
	Cluster string // Cluster.Name
	// Namespaces are glob patterns (* and ?, as in path.Match). None grants
	// nothing. kube-system, kube-public and kube-node-lease are granted only
	// where a pattern names them literally.
	Namespaces []string
}

// Vault says where a tenant's values lie and how to log in. Exactly one of
// Token, TokenFile, AppRole and Kubernetes is set.
type Vault struct {
	Address   string // such as https://vault.example.org:8200
	Namespace string // of Vault Enterprise or OpenBao; empty is the root
	Mount     string // of a KV v2 engine, such as "secret" or "teams/payments"
	Prefix    string // path below the mount that the tenant is confined to; empty is the whole mount

	CAFile     string // PEM bundle that signs the server's certificate; empty is the system's
	ServerName string // expected in the certificate; empty is the address's host

	Token      string // a token as it is
	TokenFile  string // a file with a token; read again when the token is refused
	AppRole    *AppRole
	Kubernetes *KubernetesAuth

	// Timeout bounds each request. Zero is DefaultRequestTimeout.
	Timeout time.Duration
}

// AppRole logs in with a role id and a secret id.
type AppRole struct {
	Mount        string // empty is "approle"
	RoleID       string
	SecretID     string
	SecretIDFile string // read at every login; instead of SecretID
}

// KubernetesAuth logs in with a service account token.
type KubernetesAuth struct {
	Mount     string // empty is "kubernetes"
	Role      string
	TokenFile string // read at every login; empty is the pod's own token
}

func interval(cfg Config, spec Tenant) time.Duration {
	switch {
	case spec.PollInterval > 0:
		return spec.PollInterval
	case cfg.PollInterval > 0:
		return cfg.PollInterval
	}
	return DefaultPollInterval
}

// check finds what can't work in a configuration.
func check(cfg Config) error {
	clusters := make(map[string]bool)
	for _, c := range cfg.Clusters {
		if c.Name == "" || clusters[c.Name] {
			return fmt.Errorf("cluster %q: give every cluster a name of its own", c.Name)
		}
		clusters[c.Name] = true
	}
	tenants := make(map[gitstore.TenantName]bool)
	for _, t := range cfg.Tenants {
		switch {
		case t.Name.IsZero():
			return errors.New("a tenant without a name")
		case tenants[t.Name]:
			return fmt.Errorf("tenant %s: listed twice", t.Name)
		case t.Repository == nil:
			return fmt.Errorf("tenant %s: no repository", t.Name)
		case cfg.PollInterval < 0 || t.PollInterval < 0:
			return fmt.Errorf("tenant %s: the poll interval must not be negative", t.Name)
		}
		tenants[t.Name] = true
		if n := t.Vault.logins(); n != 1 {
			return fmt.Errorf("tenant %s: vault: %d ways to log in are given; give exactly one of token, tokenFile, appRole and kubernetes", t.Name, n)
		}
		for alias, g := range t.Clusters {
			if !clusters[g.Cluster] {
				return fmt.Errorf("tenant %s: cluster %s: there is no cluster %q", t.Name, alias, g.Cluster)
			}
			for _, pattern := range g.Namespaces {
				if _, err := path.Match(pattern, ""); err != nil {
					return fmt.Errorf("tenant %s: cluster %s: namespace pattern %q is malformed", t.Name, alias, pattern)
				}
			}
		}
	}
	return nil
}

func (v Vault) logins() (n int) {
	for _, given := range []bool{v.Token != "", v.TokenFile != "", v.AppRole != nil, v.Kubernetes != nil} {
		if given {
			n++
		}
	}
	return n
}
