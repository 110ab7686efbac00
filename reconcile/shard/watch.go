package shard

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// watch follows all Leases of the replicas until ctx ends. It is client-go's Reflector with a
// store of ours in place of an informer, for two reasons: when a Lease was first seen as it is
// matters here, which an informer tells later, from a queue; and an informer waits up to a minute
// between its attempts, in which a replica that is back knows of no others.
func (r *Replica) watch(ctx context.Context) {
	ctx = klog.NewContext(ctx, logr.Discard())
	leases := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options meta.ListOptions) (runtime.Object, error) {
			ctx, cancel := context.WithTimeout(ctx, r.timing.renew)
			defer cancel()
			options.LabelSelector = labelLease
			return r.leases.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options meta.ListOptions) (apiwatch.Interface, error) {
			options.LabelSelector = labelLease
			return r.leases.Watch(ctx, options)
		},
	}
	reflector := cache.NewReflectorWithOptions(leases, &coordination.Lease{}, r.seen, cache.ReflectorOptions{
		Name:    "replicas",
		Backoff: &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 8, Cap: r.timing.retry, Jitter: 0.5},
	})
	reflector.RunWithContext(ctx)
}
