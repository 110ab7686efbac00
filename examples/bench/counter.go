package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// A counter counts by watching, so that its cost is the same for whatever it watches: ours and the floor are both measured
// with one.
type counter struct {
	prefix  string // of the namespaces that count
	stop    context.CancelFunc
	done    sync.WaitGroup
	changed chan struct{}

	mu      sync.Mutex
	seen    map[string]time.Time // cluster/namespace/name of what is there, with when it was first seen as it is
	at      map[string]string    // its resource version
	trouble error                // why a cluster can't be listed or watched now
}

const listPage = 1000

// newCounter returns when what is there is known. Names only, and the fleet's Secrets only: the cheapest watch there is.
func newCounter(ctx context.Context, prefix string, clusters map[string]*rest.Config) (*counter, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &counter{prefix: prefix, stop: cancel, changed: make(chan struct{}, 1), seen: make(map[string]time.Time), at: make(map[string]string)}
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		config := rest.CopyConfig(clusters[name])
		config.AcceptContentTypes = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
		client, err := metadata.NewForConfig(config)
		if err != nil {
			c.close()
			return nil, err
		}
		secrets := client.Resource(core.SchemeGroupVersion.WithResource("secrets"))
		from, err := c.list(ctx, name, secrets)
		if err != nil {
			c.close()
			return nil, err
		}
		c.done.Go(func() { c.run(ctx, name, secrets, from) })
	}
	return c, nil
}

func (c *counter) close() {
	c.stop()
	c.done.Wait()
}

// run watches until ctx ends. An API server ends each watch after a while; then what is there is listed again, so that
// nothing that changed in between is missed.
func (c *counter) run(ctx context.Context, cluster string, secrets metadata.Getter, from string) {
	const pause = 50 * time.Millisecond
	var err error
	for ctx.Err() == nil {
		w, failed := secrets.Watch(ctx, meta.ListOptions{ResourceVersion: from})
		if failed == nil {
			c.follow(ctx, cluster, w)
			from, err = c.list(ctx, cluster, secrets)
		} else {
			err = failed
		}
		for err != nil && wait(ctx, pause) == nil {
			c.troubled(err)
			from, err = c.list(ctx, cluster, secrets)
		}
		c.troubled(nil)
	}
}

func (c *counter) troubled(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = err
}

// list takes in what is there and returns where to watch from.
func (c *counter) list(ctx context.Context, cluster string, secrets metadata.Getter) (from string, err error) {
	there := make(map[string]string)
	options := meta.ListOptions{Limit: listPage}
	for {
		page, err := secrets.List(ctx, options)
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			if key, ok := c.key(cluster, &page.Items[i]); ok {
				there[key] = page.Items[i].ResourceVersion
			}
		}
		from = page.ResourceVersion
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.at {
		if _, ok := there[key]; !ok && strings.HasPrefix(key, cluster+"/") {
			c.gone(key)
		}
	}
	for key, version := range there {
		if c.at[key] != version {
			c.seen[key], c.at[key] = now, version
		}
	}
	c.tell()
	return from, nil
}

// follow takes in what a watch tells until it ends.
func (c *counter) follow(ctx context.Context, cluster string, w watch.Interface) {
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.ResultChan():
			if !ok || e.Type == watch.Error {
				return
			}
			o, ok := e.Object.(meta.Object)
			if !ok {
				continue
			}
			key, ok := c.key(cluster, o)
			if !ok {
				continue
			}
			c.mu.Lock()
			if e.Type == watch.Deleted {
				c.gone(key)
			} else {
				c.seen[key], c.at[key] = time.Now(), o.GetResourceVersion()
			}
			c.tell()
			c.mu.Unlock()
		}
	}
}

func (c *counter) key(cluster string, o meta.Object) (string, bool) {
	return cluster + "/" + o.GetNamespace() + "/" + o.GetName(), strings.HasPrefix(o.GetNamespace(), c.prefix)
}

// gone forgets a Secret. c.mu is held.
func (c *counter) gone(key string) {
	delete(c.seen, key)
	delete(c.at, key)
}

func (c *counter) tell() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// until waits until so many are there.
func (c *counter) until(ctx context.Context, count int) error {
	return c.when(ctx, func() bool { return len(c.seen) == count })
}

// when waits until a condition on seen holds.
func (c *counter) when(ctx context.Context, ok func() bool) error {
	for {
		c.mu.Lock()
		done, there, trouble := ok(), len(c.seen), c.trouble
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			if trouble != nil {
				return fmt.Errorf("the cluster can't be watched (%w), so that nobody knows of the copies: %w", trouble, ctx.Err())
			}
			return fmt.Errorf("waiting for copies, of which there are %d: %w", there, ctx.Err())
		}
	}
}

// versions returns the resource version of each of these, "" where there is none.
func (c *counter) versions(keys []string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	versions := make(map[string]string, len(keys))
	for _, key := range keys {
		versions[key] = c.at[key]
	}
	return versions
}
