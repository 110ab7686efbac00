package reconcile

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/cleanup"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/plan"
	"secretsync/reconcile/reach"
	"secretsync/reconcile/sweep"
	"secretsync/reconcile/vault"
	"secretsync/reconcile/vault/access"
)

// Repository is what the reconciler needs to know of one tenant's repository.
// *gitstore.Repository is one.
type Repository interface {
	// Snapshot returns what is desired now.
	Snapshot() *catalog.Snapshot
	// Notify has changed called whenever Snapshot returns another one, till stop is
	// called.
	Notify(changed func()) (stop func())
	// Freshness says how old what Snapshot returns may be.
	Freshness() gitstore.Freshness
	// What its history says is asked by the clean-up alone.
	sweep.Repository
}

// Defaults of [Config] and its parts.
const (
	DefaultPollInterval       = time.Minute
	DefaultMinRefreshInterval = vault.DefaultLeast
	DefaultWorkers            = vault.DefaultConcurrency
	// DefaultSelectedNamespaces is many times what a tenant needs, and a fraction of what
	// a server can have.
	DefaultSelectedNamespaces = 20_000
	DefaultClusterWrites      = 32
	DefaultRequestTimeout     = access.DefaultTimeout
)

// Config is everything a [Reconciler] works with.
type Config struct {
	mostNamespaces int // that one target may select; 0: the constant

	Clusters []Cluster
	Tenants  []Tenant

	// HashKey keys the hash that every copy carries. At least 16 bytes; all
	// servers that serve the same clusters, and all restarts, need the same.
	HashKey []byte

	// PollInterval is how often the vault is asked whether a value changed.
	// Zero is DefaultPollInterval. The polls are spread evenly over it.
	PollInterval time.Duration
	// MinRefreshInterval is the shortest interval that a definition's
	// refreshInterval is kept to; a shorter one is taken as this. Zero is
	// DefaultMinRefreshInterval.
	MinRefreshInterval time.Duration
	// Workers is how many values of one tenant are read at once. Zero is
	// DefaultWorkers.
	Workers int
	// SelectedNamespaces is how many namespaces the namespaceSelectors of one tenant's
	// targets may have, all together. Zero is DefaultSelectedNamespaces.
	SelectedNamespaces int
	// Brake is how many copies of a tenant are deleted without anybody's word.
	// Nil is cleanup.DefaultBrake.
	Brake *cleanup.Brake

	// ValueRead is told of every value that was read from a vault: its path with mount
	// and prefix, and its version. It must not block. Nil is nobody.
	ValueRead func(tenant gitstore.TenantName, path string, version int)

	// Tracer makes spans of what is read and written because something changed. Nil:
	// nothing is traced.
	Tracer trace.Tracer

	Clock   Clock                 // nil is the real clock
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
}

// Clock is what time the engine goes by.
type Clock = clock.WithTickerAndDelayedExecution

// Cluster is one registered cluster; tenants get grants on it.
type Cluster struct {
	// Name is the operator's name for it: unique, not seen by tenants. Several
	// names may lead to one and the same cluster, which is found out.
	Name string
	// Kubeconfig is the path of a kubeconfig file, and Context the context in
	// it (empty: its current one). The file, and those it names, are followed.
	// With neither Kubeconfig nor REST, the service account of the pod is used.
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
	// Timeout bounds each request but listings. Zero is DefaultRequestTimeout.
	Timeout time.Duration
	// ListTimeout bounds each page of a listing. Zero is kube.DefaultListTimeout.
	ListTimeout time.Duration
}

// Tenant is one tenant: its repository, its vault and what it may reach.
type Tenant struct {
	Name       gitstore.TenantName
	Repository Repository
	Vault      Vault
	// Clusters maps the names that definitions use to what is granted.
	Clusters map[definition.ClusterName]Grant
	// PollInterval and MinRefreshInterval override those of Config if they are
	// not zero.
	PollInterval       time.Duration
	MinRefreshInterval time.Duration
	// SelectedNamespaces overrides that of Config if it is not zero.
	SelectedNamespaces int
	// Suspend: nothing is written for the tenant's definitions, and what would be
	// is told.
	Suspend bool
	// Brake overrides Config.Brake if it is not nil.
	Brake *cleanup.Brake
	// May is asked before each write to a cluster for the tenant, where several servers
	// share the tenants: false puts the write off. It must not wait. Nil: always. That of
	// a tenant that is there already stays as it was.
	May func() bool
}

// Grant lets a tenant reach namespaces of one cluster; its Cluster is a Cluster.Name.
type Grant = reach.Grant

// Vault says where a tenant's values lie and how to log in.
type Vault = access.Config

// The ways to log in to a vault besides a token.
type (
	AppRole        = access.AppRole
	KubernetesAuth = access.KubernetesAuth
	JWTAuth        = access.JWTAuth
	CertAuth       = access.CertAuth
)

// Reach is what the configuration lets the tenant reach, as its targets are
// judged by it when they are synced. It looks at no cluster and no vault.
func (t Tenant) Reach() plan.Reach {
	return reach.Reach{
		Tenant: t.Name, Grants: t.Clusters, Shortest: t.MinRefreshInterval,
		Mount: strings.Trim(t.Vault.Mount, "/"), Prefix: strings.Trim(t.Vault.Prefix, "/"),
	}
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

// least is the shortest interval that a definition of the tenant can have.
func least(cfg Config, spec Tenant) time.Duration {
	return cmp.Or(spec.MinRefreshInterval, cfg.MinRefreshInterval, DefaultMinRefreshInterval)
}

// mostChosen is how many namespaces the tenant's targets may select together.
func mostChosen(cfg Config, spec Tenant) int {
	return cmp.Or(spec.SelectedNamespaces, cfg.SelectedNamespaces, DefaultSelectedNamespaces)
}

func brake(cfg Config, spec Tenant) cleanup.Brake {
	switch {
	case spec.Brake != nil:
		return *spec.Brake
	case cfg.Brake != nil:
		return *cfg.Brake
	}
	return cleanup.DefaultBrake
}

// connect is the cluster as its room takes it, with the namespaces that anybody is
// granted there.
func (c Cluster) connect(interval time.Duration, namespaces []string) kube.Config {
	k := kube.Config{
		Name: c.Name, Kubeconfig: c.Kubeconfig, Context: c.Context,
		QPS: c.QPS, Timeout: c.Timeout, ListTimeout: c.ListTimeout, Interval: interval, Namespaces: namespaces,
	}
	if c.REST != nil {
		k.REST, k.Kubeconfig, k.Context = c.REST, "", ""
	}
	return k
}

// patterns lists those of namespaces that are granted to anybody, by cluster, each
// once and sorted.
func patterns(tenants []Tenant) map[string][]string {
	patterns := make(map[string][]string)
	for _, t := range tenants {
		for _, g := range t.Clusters {
			patterns[g.Cluster] = append(patterns[g.Cluster], g.Namespaces...)
		}
	}
	for cluster, namespaces := range patterns {
		slices.Sort(namespaces)
		patterns[cluster] = slices.Compact(namespaces)
	}
	return patterns
}

func (c Cluster) writes() int {
	if c.Writes > 0 {
		return c.Writes
	}
	return DefaultClusterWrites
}

// check finds mistakes in the configuration itself. What else is wrong, such as
// a file that is missing, is a status of what it concerns.
func check(cfg Config) error {
	clusters := make(map[string]bool)
	for _, c := range cfg.Clusters {
		if c.Name == "" || clusters[c.Name] {
			return fmt.Errorf("cluster %q: give every cluster a name of its own", c.Name)
		}
		clusters[c.Name] = true
		if c.Writes < 0 {
			return fmt.Errorf("cluster %s: the number of writes must not be negative", c.Name)
		}
		if err := c.connect(cfg.PollInterval, nil).Check(); err != nil {
			return err
		}
	}
	if cfg.PollInterval < 0 || cfg.MinRefreshInterval < 0 || cfg.Workers < 0 || cfg.SelectedNamespaces < 0 {
		return errors.New("the poll interval, the least refresh interval, the number of workers and that of selected namespaces must not be negative")
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
		case t.PollInterval < 0 || t.MinRefreshInterval < 0 || t.SelectedNamespaces < 0:
			return fmt.Errorf("tenant %s: the poll interval, the least refresh interval and the number of selected namespaces must not be negative", t.Name)
		}
		tenants[t.Name] = true
		if err := t.Vault.Check(); err != nil {
			return fmt.Errorf("tenant %s: %w", t.Name, err)
		}
		for alias, g := range t.Clusters {
			if !clusters[g.Cluster] {
				return fmt.Errorf("tenant %s: cluster %s: there is no cluster %q", t.Name, alias, g.Cluster)
			}
			if err := g.Check(); err != nil {
				return fmt.Errorf("tenant %s: cluster %s: %w", t.Name, alias, err)
			}
		}
	}
	return nil
}
