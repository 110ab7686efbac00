package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/client"
	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/kube/way"
)

// connection is one life of the connection to a cluster: one way, one identity,
// and what was listed over it.
type connection struct {
	*Cluster
	client         *client.Client
	identity       string
	assumed        bool // the identity is the name: kube-system may not be read
	namespacesTold chan struct{}
	plugin         *pluginCredentials
	unusable       string // what was last found of files that changed; it is logged once
}

// trouble is why a connection ended or did not come about.
type trouble struct {
	*fault.Fault
	detail error // for the log; nil where Fault says it all
	now    bool  // nothing has to be waited for
}

// guard keeps the connection: it connects, follows Secrets and namespaces, and
// when the cluster is in trouble tears everything down and begins anew, with
// every file read again. So whatever happened to the server meanwhile, what is
// known of it afterwards is what it says now.
func (c *Cluster) guard(ctx context.Context) {
	var p patience
	for ctx.Err() == nil {
		began := c.clock.Now()
		t := c.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if c.clock.Since(began) > time.Minute {
			p = patience{}
		}
		c.fail(t)
		if t.now {
			continue
		}
		timer := c.clock.NewTimer(p.next(t.Reason, c.config().interval()))
		select {
		case <-ctx.Done():
		case <-timer.C():
		case <-c.reread: // what was wrong may have been mended
			p = patience{}
		}
		timer.Stop()
	}
}

// up says that the cluster can be used. Who sees that it can finds it in the log already.
func (c *Cluster) up() {
	if old := c.down.Load(); old != nil {
		c.log.Info("cluster usable", "after", c.clock.Since(old.Since).Round(time.Millisecond))
	}
	c.down.Store(nil)
	c.observer.Everything("")
}

// fail says that it can't be, in the log first, as [Cluster.up] does. What happens again and
// again is logged once.
func (c *Cluster) fail(t *trouble) {
	since := c.clock.Now()
	old := c.down.Load()
	if old != nil && old.Reason == t.Reason {
		since = old.Since
	}
	down := &fault.Outage{Fault: *t.Fault, Since: since}
	if old != nil && old.Reason == t.Reason && old.Message == t.Message {
		c.down.Store(down)
		return
	}
	switch {
	case t.now:
		c.log.Info("cluster is connected anew", "cause", t.Message)
	case t.detail != nil:
		c.log.Warn("cluster unusable", "reason", t.Reason, "cause", t.Message, "detail", fault.Clean(t.detail.Error()))
	default:
		c.log.Warn("cluster unusable", "reason", t.Reason, "cause", t.Message)
	}
	c.down.Store(down)
	c.observer.Everything("")
}

// doubt tells of a request that found the cluster in trouble.
func (c *Cluster) doubt(err error) {
	select {
	case c.suspect <- err:
	default:
	}
}

// connect holds one connection and returns why it ended.
func (c *Cluster) connect(ctx context.Context) *trouble {
	drainBell(c.reread) // what rang it is looked at now
	w, err := way.Read(c.config().source())
	if err != nil {
		return explain(err)
	}
	k := &connection{Cluster: c, namespacesTold: make(chan struct{})}
	var granted way.Credentials
	if w.Plugin != nil {
		if granted, err = w.Ask(ctx, c.config().timeout()); err != nil {
			return explain(err)
		}
		k.plugin = &pluginCredentials{have: granted}
	}
	if k.client, err = client.New(w, granted, c.limits, c.limiter, c.metrics); err != nil {
		return explain(err)
	}
	defer k.client.Close()
	if err := k.identify(ctx); err != nil {
		return explain(err)
	}
	return k.hold(ctx)
}

// hold follows everything until something ends the connection.
func (c *connection) hold(ctx context.Context) *trouble {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	c.mirror.Reconnect()
	for len(c.suspect) > 0 {
		<-c.suspect // of the connection before
	}
	c.Cluster.client.Store(c.client)

	ended := make(chan error, 2)
	told := make(chan struct{}, 2)
	wg.Go(func() { ended <- c.followCopies(ctx, sync.OnceFunc(func() { told <- struct{}{} })) })
	wg.Go(func() {
		ended <- c.followNamespaces(ctx, sync.OnceFunc(func() { close(c.namespacesTold); told <- struct{}{} }))
	})
	wg.Go(func() {
		if v, err := c.client.Version(ctx); err == nil {
			c.version.Store(&v)
		}
	})

	missing := 2
	look := c.clock.NewTicker(c.config().interval())
	defer func() { look.Stop() }()
	renewed := make(chan renewal, 1)
	expiry := c.plugin.expiry(c.clock)
	defer func() { stopTimer(expiry) }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return explain(err)
		case <-told:
			if missing--; missing == 0 {
				c.up()
			}
		case err := <-c.suspect:
			if t := c.suspected(ctx, err); t != nil {
				return t
			}
		case <-c.reread:
			look.Stop()
			look = c.clock.NewTicker(c.config().interval())
			if c.differs() {
				return anew("its configuration or a file that leads to it changed")
			}
			c.plugin.renew(ctx, &wg, c.client.Way, c.config().timeout(), renewed)
		case <-look.C():
			if c.differs() {
				return anew("a file that leads to it changed")
			}
			if t := c.wider(ctx); t != nil {
				return t
			}
		case <-timerC(expiry):
			c.plugin.renew(ctx, &wg, c.client.Way, c.config().timeout(), renewed)
			stopTimer(expiry)
			expiry = nil
		case r := <-renewed:
			if !c.plugin.took(c, r) {
				return anew("its credential plugin gives another certificate")
			}
			stopTimer(expiry)
			expiry = c.plugin.expiry(c.clock)
		}
	}
}

func timerC(t clock.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C()
}

func stopTimer(t clock.Timer) {
	if t != nil {
		t.Stop()
	}
}

func drainBell(bell chan struct{}) {
	select {
	case <-bell:
	default:
	}
}

// suspected finds out whether the trouble one request had is the cluster's.
func (c *connection) suspected(ctx context.Context, err error) *trouble {
	if refusal.KindOf(err) == refusal.Unauthorized {
		if before := c.client.Bearer.Token.Load(); c.token(before, err) {
			return nil
		}
		// The request may have been made with an older one.
		if _, err := c.client.Probe(ctx, c.probed("")); refusal.KindOf(err) != refusal.Unauthorized {
			return nil
		}
		return explain(err)
	}
	switch _, err := c.client.Probe(ctx, c.probed("")); refusal.KindOf(err) {
	case refusal.None, refusal.Throttled:
		return nil
	case refusal.Forbidden:
		if !c.mirror.Everywhere() {
			return nil // of that one namespace
		}
		return explain(err)
	default:
		return explain(err)
	}
}

func anew(why string) *trouble {
	return &trouble{Fault: fault.Transient(fault.Pending, fault.ReasonQueued, "the cluster is connected anew: %s", why), now: true}
}

// explain says in words why a cluster can't be used.
func explain(err error) *trouble {
	var b *way.Blocked
	if errors.As(err, &b) {
		return &trouble{
			Fault:  fault.Transient(fault.Error, fault.ReasonClusterUnreachable, "the cluster can't be reached: %s; the operator finds more in the server's log, and it goes on by itself once that is mended", b.Said),
			detail: b.Detail,
		}
	}
	switch refusal.KindOf(err) {
	case refusal.Unauthorized:
		return &trouble{Fault: fault.Transient(fault.Error, fault.ReasonForbidden, "the cluster refuses our credentials; the operator must renew them")}
	case refusal.Forbidden:
		message := "the cluster does not let us list and watch Secrets; allow get, list, watch, create, patch and delete on secrets to our user there"
		if r := new(refusal.Error); errors.As(err, &r) {
			message = r.Message
		}
		return &trouble{Fault: fault.Transient(fault.Error, fault.ReasonForbidden, "%s", message)}
	}
	t := &trouble{}
	switch {
	case errors.Is(err, errAnother):
		t.now = true
		t.Fault = fault.Transient(fault.Pending, fault.ReasonQueued, "another cluster answers than before; what stands in it is being read")
	case refusal.StatusOf(err).Code == 410:
		t.Fault = fault.Transient(fault.Error, fault.ReasonClusterUnreachable, "listing the cluster's Secrets takes longer than the cluster keeps a listing; it is tried again by itself")
	case refusal.StatusOf(err).Code != 0:
		t.Fault = fault.Transient(fault.Error, fault.ReasonClusterUnreachable, "%s; it is tried again by itself", refusal.InWords(err))
	default:
		t.Fault = fault.Transient(fault.Error, fault.ReasonClusterUnreachable, "%s; it is tried again by itself", refusal.InWords(err))
		t.detail = fmt.Errorf("%w", err)
	}
	return t
}
