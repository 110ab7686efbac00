package kube

import (
	"context"
	"time"

	"secretsync/reconcile/kube/refusal"
)

// How long a refusal to tell which cluster this is may pass: a server that has
// just started refuses everybody until it has read its roles, and is not ready
// until then. If that were taken for a lack of rights, every copy would be taken
// for another cluster's.
const (
	identityGrace   = 3 * time.Second  // of a server that says it is ready
	identityUnready = 20 * time.Second // of one that does not
)

// identify finds out which cluster this is.
func (c *connection) identify(ctx context.Context) error {
	began := c.clock.Now()
	var pauses backoff
	for ready := false; ; {
		uid, err := c.client.System(ctx)
		kind := refusal.KindOf(err)
		if kind == refusal.Forbidden {
			waited := c.clock.Since(began)
			if ready && waited >= identityGrace || waited >= identityUnready {
				break
			}
			ready = c.client.Ready(ctx) // what is refused from now on stays refused
		}
		switch kind {
		case refusal.None:
			c.identity = string(uid)
			c.identified()
			return nil
		case refusal.Forbidden, refusal.Throttled:
			sleep(ctx, c.clock, pauses.next(max(refusal.After(err), 250*time.Millisecond), time.Second))
			if ctx.Err() != nil {
				return ctx.Err()
			}
		default:
			return err
		}
	}
	c.assumed = true
	if c.identity = c.Identity(); c.identity == "" {
		c.identity = "name:" + c.config().Name
		c.log.Warn("the namespace kube-system can't be read, so the cluster is known by its name only; allow get on it to our user")
	}
	c.identified()
	return nil
}

// identified forgets what is known if that was another cluster's.
func (c *connection) identified() {
	if old := c.Identity(); old != c.identity {
		if old != "" {
			c.log.Warn("another cluster answers than before", "was", old, "is", c.identity)
		}
		c.mirror.Forget()
		c.Cluster.identity.Store(&c.identity)
	}
}
