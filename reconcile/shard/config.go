package shard

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/validation"
	typed "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/clock"

	"secretsync/gitstore"
)

// Bounds and defaults of [Config].
const (
	DefaultShards = 16
	MostShards    = 1024
	DefaultLease  = 15 * time.Second
	LeastLease    = 3 * time.Second
	MostLease     = 5 * time.Minute
)

// Config is what a replica works with.
type Config struct {
	Client    typed.LeasesGetter
	Namespace string
	// Name is this replica's own, a DNS subdomain. Of two processes with one name the
	// second waits till the first is gone.
	Name    string
	Address string // where other replicas reach it: host and port
	Shards  int    // the same for all replicas; 0: DefaultShards
	// Lease is how long a replica that gave no sign of life keeps its shards: whole seconds;
	// 0: DefaultLease. Replicas may have different ones: each Lease says its own.
	Lease time.Duration
	// Pin names the replica that a tenant must be at, because its repository lies there; ""
	// for those that may be anywhere. It is asked often, from many goroutines. Nil: all may.
	Pin func(gitstore.TenantName) string

	Clock   clock.Clock           // nil is the real clock; client-go's election has always that
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
}

func (c *Config) complete() error {
	if c.Shards == 0 {
		c.Shards = DefaultShards
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.Pin == nil {
		c.Pin = func(gitstore.TenantName) string { return "" }
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Client == nil || c.Namespace == "":
		return errors.New("replicas need a cluster and a namespace for their Leases")
	case c.Shards < 1 || c.Shards > MostShards:
		return fmt.Errorf("the number of shards is %d; it is to be from 1 to %d", c.Shards, MostShards)
	case c.Lease < LeastLease || c.Lease > MostLease || c.Lease%time.Second != 0:
		return fmt.Errorf("the lease time is %v; it is to be whole seconds, from %v to %v", c.Lease, LeastLease, MostLease)
	}
	return CheckName(c.Name)
}

// CheckName says whether a replica can bear a name: it becomes part of that of a Lease.
func CheckName(name string) error {
	if wrong := validation.IsDNS1123Subdomain(memberLease(name)); name == "" || len(wrong) > 0 {
		return fmt.Errorf("%.80q can't be the name of a replica: it is to be a DNS name of lower-case letters, digits, - and ., of at most %d characters", name, validation.DNS1123SubdomainMaxLength-len(memberPrefix))
	}
	return nil
}
