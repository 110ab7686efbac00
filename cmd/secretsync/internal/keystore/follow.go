package keystore

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

const (
	// watchTime is how long one watch lasts. It is short, because one whose
	// connection hangs is only missed at its end.
	watchTime = time.Minute
	watchSlip = 10 * time.Second
	pageSize  = 100
)

var selector = "type=" + string(typeOfKeys)

// Run follows the Secrets until ctx ends, and returns nil then. What is in the way is
// logged once; meanwhile the keys that are known go on. That they can be listed again is
// not the end of it: they may be watched by another right, or by another way.
func (c *Cluster) Run(ctx context.Context) error {
	pauses := newPauses()
	for {
		began := c.clock.Now()
		err := c.watch(ctx)
		if c.clock.Since(began) >= time.Second {
			pauses = newPauses()
		} else if err == nil {
			// It ended in order, but at once: not again without a pause.
			_ = c.pause(ctx, pauses.Step())
		}
		for err != nil && ctx.Err() == nil {
			c.troubled(err)
			if c.pause(ctx, pauses.Step()) != nil {
				break
			}
			err = c.list(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// newPauses are those between attempts, of at most five seconds.
func newPauses() wait.Backoff {
	return wait.Backoff{Duration: 200 * time.Millisecond, Factor: 1.7, Jitter: 0.5, Steps: 10, Cap: 4 * time.Second}
}

func (c *Cluster) troubled(err error) {
	said := why("watch", err)
	c.metrics.follows(false)
	if c.trouble != said {
		c.trouble = said
		c.log.Warn("the Secrets with the API keys are not followed: keys that are known go on, and what other servers make and revoke is not seen", "cause", said, "detail", err)
	}
}

func (c *Cluster) well() {
	c.metrics.follows(true)
	if c.trouble != "" {
		c.trouble = ""
		c.log.Info("the Secrets with the API keys are followed again")
	}
}

// watch takes in what changes, until the server ends it in order (nil) or it fails.
func (c *Cluster) watch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchTime+watchSlip)
	defer cancel()
	seconds := int64(watchTime / time.Second)
	w, err := c.secrets.Watch(ctx, metav1.ListOptions{
		FieldSelector: selector, ResourceVersion: c.version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds,
	})
	if err != nil {
		return err
	}
	defer w.Stop()
	c.well()
	for event := range w.ResultChan() {
		s, ok := event.Object.(*corev1.Secret)
		if !ok {
			return apierrors.FromObject(event.Object)
		}
		switch event.Type {
		case watch.Added, watch.Modified:
			c.take(s)
		case watch.Deleted:
			c.ended(s)
		}
		c.version = s.ResourceVersion
	}
	return ctx.Err()
}

// list reads all Secrets. It is believed whatever it says, but for what a request for one
// Secret was answered meanwhile, be that a write or a read: after the cluster was restored
// from a backup, resource versions go back.
func (c *Cluster) list(ctx context.Context) error {
	c.mu.RLock()
	began := c.answers
	c.mu.RUnlock()
	type found struct {
		*corev1.Secret
		keys map[string]*apikey.Key
		size int
		bad  error
	}
	all := make(map[gitstore.TenantName]found)
	var mark *corev1.Secret
	version, err := c.each(ctx, func(s *corev1.Secret) {
		if s.Name == markName {
			mark = s
			return
		}
		tenant, ok := tenantOf(s.Name)
		if !ok {
			c.stray(s)
			return
		}
		f := found{Secret: s}
		f.keys, f.size, f.bad = parse(tenant, s)
		s.Data = nil
		all[tenant] = f
	})
	if err != nil {
		return err
	}
	c.version = version

	c.mu.Lock()
	defer c.mu.Unlock()
	c.putMark(mark)
	for tenant, f := range all {
		k := c.of(tenant)
		if k.answer > began && (newer(k.version, f.ResourceVersion) || k.was(f.Secret)) {
			continue
		}
		c.put(tenant, k, f.Secret, f.keys, f.size, f.bad)
	}
	for tenant, k := range c.tenants {
		if _, there := all[tenant]; there || k.answer > began && newer(k.version, c.version) {
			continue
		}
		if k.there {
			c.forget(tenant, k, "")
		}
		k.version = c.version // an answer of before that may come yet
	}
	return nil
}

// each tells of all Secrets as they stood at one moment after it was called, and returns the resource
// version of that.
func (c *Cluster) each(ctx context.Context, tell func(*corev1.Secret)) (version string, err error) {
	options := metav1.ListOptions{FieldSelector: selector, Limit: pageSize}
	for {
		page, err := c.secrets.List(ctx, options)
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			tell(&page.Items[i])
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return page.ResourceVersion, nil
		}
	}
}

// was reports whether a Secret is the one that is gone: then it is told of late.
func (k *kept) was(s *corev1.Secret) bool { return !k.there && k.uid != "" && k.uid == s.UID }

// newer reports whether one resource version comes after another. One that is not
// understood counts as newer, so that it is taken in.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}

// of returns what is known of a tenant's Secret. It is called with the lock.
func (c *Cluster) of(tenant gitstore.TenantName) *kept {
	k := c.tenants[tenant]
	if k == nil {
		k = &kept{turn: make(chan struct{}, 1)}
		c.tenants[tenant] = k
	}
	return k
}

// versionOf returns the resource version as of which a tenant's Secret is known.
func (c *Cluster) versionOf(tenant gitstore.TenantName) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of(tenant).version
}

// take takes in a Secret, if it is newer than what is known.
func (c *Cluster) take(s *corev1.Secret) { c.takeFrom(s, false) }

// takeAnswer is take for what a request for one Secret was answered, or one for some.
func (c *Cluster) takeAnswer(s *corev1.Secret) { c.takeFrom(s, true) }

func (c *Cluster) takeFrom(s *corev1.Secret, answer bool) {
	if s.Name == markName {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.putMark(s)
		return
	}
	tenant, ok := tenantOf(s.Name)
	if !ok {
		c.stray(s)
		return
	}
	keys, size, bad := parse(tenant, s)
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of(tenant)
	if k.version != "" && !newer(s.ResourceVersion, k.version) || k.was(s) {
		return
	}
	c.put(tenant, k, s, keys, size, bad)
	if answer {
		c.answered(k)
	}
}

// answered notes that a request of our own told of a Secret. It is called with the lock.
func (c *Cluster) answered(k *kept) {
	c.answers++
	k.answer = c.answers
}

// putMark takes in the mark as it is now; nil: there is none. It is called with the lock.
func (c *Cluster) putMark(s *corev1.Secret) {
	before, unclear := c.moved, c.unclear
	c.moved, c.unclear = nil, nil
	if s != nil {
		c.moved, c.unclear = movedBy(s)
	}
	switch {
	case c.unclear != nil && (unclear == nil || unclear.Error() != c.unclear.Error()):
		c.log.Error("no API key is made or revoked here; those that are known go on", "error", c.unclear)
	case c.moved != nil && (before == nil || *before != *c.moved):
		c.log.Error("the API keys were moved; none is made or revoked here any more", "error", c.moved)
	case c.moved == nil && c.unclear == nil && (before != nil || unclear != nil):
		c.log.Info("API keys are made and revoked here again")
	}
}

// put replaces what is known of a Secret that is there; of one that can't be read the
// keys stay that were known before. It is called with the lock.
func (c *Cluster) put(tenant gitstore.TenantName, k *kept, s *corev1.Secret, keys map[string]*apikey.Key, size int, bad error) {
	k.version, k.there, k.uid, k.size = s.ResourceVersion, true, s.UID, size
	for id := range keys {
		if other := c.byID[id]; bad == nil && other != nil && other.Tenant != tenant {
			bad = damaged(s.Name, "has the key "+id+", which stands in that of tenant "+other.Tenant.String()+" too")
		}
	}
	if before := c.unread[tenant]; bad != nil {
		c.unread[tenant] = bad
		if before == nil || before.Error() != bad.Error() {
			c.log.Error("the API keys of a tenant can't be read; those that were known go on, others are answered with 503", "tenant", tenant.String(), "known", len(k.keys), "error", bad)
		}
		return
	} else if before != nil {
		delete(c.unread, tenant)
		c.log.Info("the API keys of a tenant can be read again", "tenant", tenant.String(), "keys", len(keys))
	}
	for id := range k.keys {
		if keys[id] == nil {
			delete(c.byID, id)
		}
	}
	for id, key := range keys {
		c.byID[id] = key
	}
	k.keys = keys
}

// ended takes in that a Secret was deleted.
func (c *Cluster) ended(s *corev1.Secret) {
	if s.Name == markName {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.putMark(nil)
		return
	}
	if tenant, ok := tenantOf(s.Name); ok {
		c.end(tenant, s.ResourceVersion)
	}
}

// end takes in that a tenant's Secret was deleted, as of a resource version.
func (c *Cluster) end(tenant gitstore.TenantName, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.of(tenant); k.there && newer(version, k.version) {
		c.forget(tenant, k, version)
	}
}

// absent takes in that a tenant had no Secret when it was asked for. It is false where
// another one was told of since then: which is the newer is not to be seen.
func (c *Cluster) absent(tenant gitstore.TenantName, known string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of(tenant)
	if k.there && k.version == known {
		c.forget(tenant, k, "")
		c.answered(k)
	}
	return !k.there
}

// forget is called with the lock. We delete none of them: who did has revoked the keys.
func (c *Cluster) forget(tenant gitstore.TenantName, k *kept, version string) {
	c.log.Warn("the Secret with the API keys of a tenant was deleted by somebody: they are refused", "tenant", tenant.String(), "secret", nameOf(tenant), "keys", len(k.keys))
	delete(c.unread, tenant)
	for id := range k.keys {
		delete(c.byID, id)
	}
	k.there, k.size, k.keys = false, 0, nil
	if version != "" {
		k.version = version
	}
}

func (c *Cluster) stray(s *corev1.Secret) {
	c.log.Warn("a Secret is of the type of those with API keys, and has no name of one; it is left alone", "secret", s.Name)
}
