package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"secretsync/reconcile/kube/client"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/way"
)

// Defaults of [Config].
const (
	DefaultTimeout     = 15 * time.Second
	DefaultListTimeout = time.Minute
	DefaultInterval    = time.Minute
)

// Config says how one cluster is reached.
type Config struct {
	// Name is the operator's name for it, for logs and metrics.
	Name string
	// Kubeconfig is the path of a kubeconfig file, and Context the context in
	// it (empty: its current one). With neither Kubeconfig nor REST, the service
	// account of the pod is used. The file, and every file it names, is followed.
	Kubeconfig string
	Context    string
	// REST is used instead of Kubeconfig if it is set. It must not be changed.
	REST *rest.Config

	// QPS limits our requests a second, with bursts of as many. Zero is no limit.
	QPS float32
	// Timeout bounds each request but listings. Zero is DefaultTimeout.
	Timeout time.Duration
	// ListTimeout bounds each page of a listing. Zero is DefaultListTimeout.
	ListTimeout time.Duration
	// Interval is how often the files that lead to the cluster are looked at.
	// Zero is DefaultInterval.
	Interval time.Duration
	// Namespaces are the names or glob patterns of all namespaces that are
	// granted to anybody. They matter where the cluster does not let us list
	// Secrets everywhere: then each of these is followed by itself. A pattern is
	// resolved by the list of namespaces, where we may see it, and by the names
	// that [Cluster.Look] is asked for.
	Namespaces []string
}

// Check finds mistakes in the configuration itself. The state of a file is none.
func (c Config) Check() error {
	switch {
	case c.Name == "":
		return errors.New("a cluster without a name")
	case c.REST != nil && c.Kubeconfig != "":
		return fmt.Errorf("cluster %s: give a kubeconfig or a REST configuration, not both", c.Name)
	case c.Context != "" && c.Kubeconfig == "":
		return fmt.Errorf("cluster %s: a context without a kubeconfig", c.Name)
	case c.QPS < 0 || c.Timeout < 0 || c.ListTimeout < 0 || c.Interval < 0:
		return fmt.Errorf("cluster %s: limits must not be negative", c.Name)
	}
	for _, pattern := range c.Namespaces {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("cluster %s: namespace pattern %q is malformed", c.Name, pattern)
		}
	}
	return nil
}

func (c Config) source() way.Source {
	return way.Source{Kubeconfig: c.Kubeconfig, Context: c.Context, REST: c.REST}
}

func (c Config) timeout() time.Duration     { return or(c.Timeout, DefaultTimeout) }
func (c Config) listTimeout() time.Duration { return or(c.ListTimeout, DefaultListTimeout) }
func (c Config) interval() time.Duration    { return or(c.Interval, DefaultInterval) }

func or(given, otherwise time.Duration) time.Duration {
	if given > 0 {
		return given
	}
	return otherwise
}

// Options are what a [Cluster] works with.
type Options struct {
	Hasher   *copies.Hasher   // needed
	Observer mirror.Observer  // nil: nobody is told
	Metrics  client.Metrics   // nil: nothing is counted
	Clock    clock.WithTicker // nil: the real clock
	Log      *slog.Logger     // nil: discards
}
