package keystore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

// Config is what a [Cluster] needs.
type Config struct {
	Secrets Secrets               // of the home namespace
	Log     *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: nothing is counted
	Clock   clock.WithTicker      // nil: the real one
	Timeout time.Duration         // of one request; 0: 10 s
}

// Cluster keeps API keys in Secrets, one a tenant. It is an [httpapi.KeyStore], and safe
// for concurrent use.
type Cluster struct {
	secrets Secrets
	log     *slog.Logger
	clock   clock.WithTicker
	metrics *metrics
	moving  bool // by a move, which may add to what was moved away

	version string // from which on Secrets are followed; only Open and Run use it
	trouble string // why they are not, as it was logged last; only Run uses it
	reading reading

	mu      sync.RWMutex
	tenants map[gitstore.TenantName]*kept
	byID    map[string]*apikey.Key
	unread  map[gitstore.TenantName]error
	moved   *apikey.MovedError // the keys are kept elsewhere by now
	unclear error              // why that is not known, see movedBy; nil: it is
	answers uint64             // to requests of our own for one Secret, as far as they told anything
}

// kept is what is known of one tenant's Secret: as a listing, the watch or the answer to
// a write of our own had it last.
type kept struct {
	turn chan struct{} // has room for whoever changes it

	version string // its resource version, or one at which there was none; empty: never seen
	there   bool
	uid     types.UID // of the one that is there, or that was
	size    int       // of its values, in bytes
	keys    map[string]*apikey.Key
	answer  uint64 // which of Cluster.answers told of it last
}

// Open reads all keys. What is wrong with one tenant's Secret is told by
// [Cluster.Unread]; if the Secrets can't be read at all, it fails with
// [gitstore.ErrUnavailable], with a [*apikey.MovedError] if they were moved away, and in words
// if that is not known.
func Open(ctx context.Context, cfg Config) (*Cluster, error) {
	c, err := open(ctx, cfg)
	switch {
	case err != nil:
		return nil, err
	case c.unclear != nil:
		return nil, c.unclear
	case c.moved != nil:
		return nil, c.moved
	}
	return c, nil
}

func open(ctx context.Context, cfg Config) (*Cluster, error) {
	c := &Cluster{
		secrets: bounded{cfg.Secrets, cmp.Or(cfg.Timeout, requestLimit)}, log: cfg.Log, clock: cfg.Clock,
		reading: reading{turn: make(chan struct{}, 1)},
		tenants: make(map[gitstore.TenantName]*kept), byID: make(map[string]*apikey.Key), unread: make(map[gitstore.TenantName]error),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.clock == nil {
		c.clock = clock.RealClock{}
	}
	if err := c.list(ctx); err != nil {
		return nil, unavailable("list", err)
	}
	var err error
	if c.metrics, err = newMetrics(cfg.Metrics, c); err != nil {
		return nil, err
	}
	return c, nil
}

// Get finds a key by its id; nil: none is known.
func (c *Cluster) Get(id string) *apikey.Key {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byID[id]
}

// Of returns a tenant's keys in no order. It fails with [gitstore.ErrUnavailable] if their
// Secret can't be read.
func (c *Cluster) Of(tenant gitstore.TenantName) ([]*apikey.Key, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if err := c.unread[tenant]; err != nil {
		return nil, &apikey.UnavailableError{Why: err.Error()}
	}
	if k := c.tenants[tenant]; k != nil {
		return slices.Collect(maps.Values(k.keys)), nil
	}
	return nil, nil
}

// Unread says why the keys of some tenants are not known as they stand; nil: all are.
func (c *Cluster) Unread() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, err := range c.unread {
		return err
	}
	return nil
}

// Add stores a key. It fails with [gitstore.ErrLimit] when the tenant has as many as it
// may, and with [gitstore.ErrUnavailable].
func (c *Cluster) Add(ctx context.Context, key apikey.Key) error {
	return c.add(ctx, key.Tenant, key)
}

// add stores keys of one tenant, all at once.
func (c *Cluster) add(ctx context.Context, tenant gitstore.TenantName, keys ...apikey.Key) error {
	return c.change(ctx, "create", tenant, func(k kept) (map[string][]byte, error) {
		entries, size := make(map[string][]byte), k.size
		for _, key := range keys {
			if k.keys[key.ID] != nil {
				continue // by a request whose answer was lost
			}
			content, err := apikey.Encode(key)
			if err != nil {
				return nil, err
			}
			entries[apikey.StoredName(key.ID)] = content
			size += len(content)
		}
		switch {
		case len(entries) == 0:
		case len(k.keys)+len(entries) > apikey.MaxStored:
			return nil, fmt.Errorf("tenant %s has %d API keys, and at most %d are allowed; delete those no longer used: %w", tenant, len(k.keys), apikey.MaxStored, gitstore.ErrLimit)
		case size > maxSize:
			return nil, fmt.Errorf("the API keys of tenant %s, with their names, take more than a Secret may hold; delete those no longer used: %w", tenant, gitstore.ErrLimit)
		}
		return entries, nil
	})
}

// Remove revokes a tenant's key; false means there is none of that id.
func (c *Cluster) Remove(ctx context.Context, tenant gitstore.TenantName, id string) (found bool, err error) {
	err = c.change(ctx, "revoke", tenant, func(k kept) (map[string][]byte, error) {
		if k.keys[id] == nil {
			return nil, nil
		}
		found = true
		return map[string][]byte{apikey.StoredName(id): nil}, nil
	})
	return found, err
}

// Refresh reads the keys of some tenants anew, as they stand at some moment after it began.
// Whoever takes them over from another server calls it before it serves them. Of many it
// reads a listing: that is a request for each hundred Secrets that there are, where one for
// each tenant would be hundreds.
func (c *Cluster) Refresh(ctx context.Context, tenants ...gitstore.TenantName) error {
	if len(tenants) > getters*(1+c.there()/pageSize) {
		return c.lookAtAll(ctx, tenants)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(getters)
	for _, tenant := range tenants {
		group.Go(func() error {
			if _, err := c.look(ctx, tenant, kept{}); err != nil {
				return unavailable("get", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// getters is how many tenants' Secrets are read at once.
const getters = 8

// there is how many Secrets there are, as far as is known.
func (c *Cluster) there() (n int) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, k := range c.tenants {
		if k.there {
			n++
		}
	}
	return n
}

// lookAtAll reads the Secrets of some tenants from one consistent listing. What the watch or
// a write of our own told meanwhile stays if it is newer.
func (c *Cluster) lookAtAll(ctx context.Context, tenants []gitstore.TenantName) error {
	known := make(map[gitstore.TenantName]string, len(tenants)) // those that were not found yet
	for _, tenant := range tenants {
		known[tenant] = c.versionOf(tenant)
	}
	_, err := c.each(ctx, func(s *corev1.Secret) {
		tenant, ok := tenantOf(s.Name)
		if _, asked := known[tenant]; ok && asked {
			c.takeAnswer(s)
			delete(known, tenant)
		}
	})
	if err != nil {
		return unavailable("list", err)
	}
	for tenant, version := range known {
		if c.absent(tenant, version) {
			continue
		}
		if _, err := c.look(ctx, tenant, kept{}); err != nil {
			return unavailable("get", err)
		}
	}
	return nil
}

// most is how often a change is decided again because somebody else was faster.
const most = 20

// change makes one change of a tenant's Secret, as decide says by what stands there:
// entries with their new content, nil to remove one, or nothing at all.
//
//	the write            what stands there then      what follows
//	succeeds             –                           done
//	loses against        another state               decided again, at most so often
//	another one
//	is refused           –                           unavailable
//	is not answered      the same state as before    unproven: it may yet come
//	                     another state               it won't come any more: decided again,
//	                                                 to nothing if it was ours
//	                     not known                   unproven
func (c *Cluster) change(ctx context.Context, what string, tenant gitstore.TenantName, decide func(kept) (map[string][]byte, error)) error {
	leave, err := c.enter(ctx, tenant)
	if err != nil {
		return err
	}
	defer leave()
	pauses := wait.Backoff{Duration: 5 * time.Millisecond, Factor: 1.5, Jitter: 1, Steps: most, Cap: 250 * time.Millisecond}
	for range most {
		at, err := c.current(tenant)
		if err != nil {
			return err
		}
		entries, err := decide(at)
		if err != nil || len(entries) == 0 {
			return err
		}
		s, err := c.write(ctx, tenant, at, entries)
		if err == nil {
			c.takeAnswer(s)
			return nil
		}
		lost := !outrun(err)
		if lost && notMade(err) {
			return unavailable(what, err)
		}
		// Also when whoever asked is gone: the keys have to be known as they are.
		moved, failed := c.look(context.WithoutCancel(ctx), tenant, at)
		switch {
		case failed != nil && !lost:
			return unavailable("get", failed)
		case failed != nil || lost && !moved:
			return &apikey.UnavailableError{Why: why(what, err), Unproven: true, Err: errors.Join(err, failed)}
		}
		c.metrics.conflict()
		if err := c.pause(ctx, pauses.Step()); err != nil {
			return err
		}
	}
	return &apikey.UnavailableError{Why: "other servers change this tenant's keys all the time"}
}

// enter waits for those of this process that change the same Secret.
func (c *Cluster) enter(ctx context.Context, tenant gitstore.TenantName) (leave func(), err error) {
	c.mu.Lock()
	turn := c.of(tenant).turn
	c.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// current returns what a tenant's Secret is known as, if it may be changed.
func (c *Cluster) current(tenant gitstore.TenantName) (kept, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.unclear != nil {
		return kept{}, &apikey.UnavailableError{Why: c.unclear.Error()}
	}
	if c.moved != nil && !c.moving {
		return kept{}, &apikey.UnavailableError{Why: "the operator has moved the keys elsewhere, and has to restart the server", Err: c.moved}
	}
	if err := c.unread[tenant]; err != nil {
		return kept{}, &apikey.UnavailableError{Why: err.Error()}
	}
	return *c.tenants[tenant], nil // keys is never modified
}

// write makes one attempt.
func (c *Cluster) write(ctx context.Context, tenant gitstore.TenantName, at kept, entries map[string][]byte) (*corev1.Secret, error) {
	if !at.there {
		s := newSecret(nameOf(tenant), typeOfKeys)
		s.Data = entries
		return c.secrets.Create(ctx, s, metav1.CreateOptions{FieldManager: fieldManager})
	}
	// What others put on the Secret, such as labels of a backup, stays.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": at.version},
		"data":     entries, // as base64, or null
	})
	if err != nil {
		return nil, err
	}
	return c.secrets.Patch(ctx, nameOf(tenant), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
}

// look reads a tenant's Secret anew, and reports whether it is another state than before:
// then no write that was decided by that one takes effect any more.
func (c *Cluster) look(ctx context.Context, tenant gitstore.TenantName, before kept) (moved bool, err error) {
	for {
		known := c.versionOf(tenant)
		s, err := c.secrets.Get(ctx, nameOf(tenant), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			if !c.absent(tenant, known) {
				continue // what was told meanwhile may be from before that
			}
			return before.there, nil
		case err != nil:
			return false, err
		}
		c.takeAnswer(s)
		return !before.there || s.ResourceVersion != before.version, nil
	}
}

func (c *Cluster) pause(ctx context.Context, d time.Duration) error {
	timer := c.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
