package kube

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/client"
	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/kube/way"
)

// differs looks at the files and the configuration, and reports whether another
// way leads to the cluster now. Where they can't be used what is in force stays.
func (c *connection) differs() bool {
	w, err := way.Read(c.config().source())
	if err == nil && w.Same(c.client.Way) {
		if w.TokenFile != "" {
			c.swap(w.Token)
		}
		c.unusable = ""
		return false
	}
	if err == nil {
		// Of two files that belong together one may be new already.
		_, err = client.New(w, way.Credentials{}, c.limits, c.limiter, nil)
	}
	if err == nil {
		return true
	}
	if said := err.Error(); said != c.unusable {
		c.unusable = said
		detail := err
		if b := new(way.Blocked); errors.As(err, &b) {
			detail = b.Detail
		}
		c.log.Warn("what leads to the cluster changed and can't be used; the connection stays as it is", "cause", said, "detail", fault.Clean(detail.Error()))
	}
	return false
}

// token reports whether a request that was refused is worth another try: its
// file holds another token than the one before, or did so for somebody else.
func (c *connection) token(before *string, err error) bool {
	if refusal.KindOf(err) != refusal.Unauthorized || c.client.Way.TokenFile == "" {
		return false
	}
	if c.client.Bearer.Token.Load() != before {
		return true
	}
	token, err := way.ReadToken(c.client.Way.TokenFile)
	return err == nil && c.swap(token)
}

// swap puts another token in force.
func (c *connection) swap(token string) bool {
	old := c.client.Bearer.Token.Load()
	if *old == token || !c.client.Bearer.Token.CompareAndSwap(old, &token) {
		return false
	}
	c.log.Info("another token was read from the cluster's token file")
	return true
}

// wider looks whether we may see more than when the connection began: all
// namespaces by one watch, or which cluster this is.
func (c *connection) wider(ctx context.Context) *trouble {
	if c.assumed {
		if _, err := c.client.System(ctx); err == nil {
			return anew("the namespace kube-system may be read now")
		}
	}
	if !c.mirror.Everywhere() && c.Outage() == nil {
		if _, err := c.client.Probe(ctx, ""); err == nil {
			return anew("secrets may be listed in the whole cluster now")
		}
	}
	return nil
}

// pluginCredentials are the credentials of a connection as far as they come from
// a plugin. It is asked again before they expire; a nil one has none.
type pluginCredentials struct {
	have   way.Credentials
	asking bool
	failed backoff
}

// renewal is what the plugin answered to being asked again.
type renewal struct {
	way.Credentials
	err error
}

// renew asks the plugin again beside everything else.
func (p *pluginCredentials) renew(ctx context.Context, wg *sync.WaitGroup, w *way.Way, limit time.Duration, to chan<- renewal) {
	if p == nil || p.asking {
		return
	}
	p.asking = true
	wg.Go(func() {
		answer, err := w.Ask(ctx, limit)
		to <- renewal{answer, err} // one place is always free: one is asked at a time
	})
}

// took takes in what it answered. It reports false if that needs a new connection.
func (p *pluginCredentials) took(c *connection, r renewal) bool {
	p.asking = false
	switch {
	case r.err != nil:
		if p.failed.failures == 0 {
			c.log.Warn("the cluster's credential plugin gives no new credentials; the old ones are used as long as they last", "cause", r.err.Error())
		}
		p.failed.failures++
		return true
	case !bytes.Equal(r.Certificate, p.have.Certificate) || !bytes.Equal(r.Key, p.have.Key):
		return false
	}
	p.have, p.failed = r.Credentials, backoff{}
	c.client.Bearer.Token.Store(&r.Token)
	return true
}

// expiry is when to ask again; nil is never.
func (p *pluginCredentials) expiry(c clock.Clock) clock.Timer {
	switch {
	case p == nil || p.have.Expires.IsZero():
		return nil
	case p.failed.failures > 0:
		p.failed.failures--
		return c.NewTimer(p.failed.next(time.Second, time.Minute))
	}
	left := p.have.Expires.Sub(c.Now())
	return c.NewTimer(max(left-min(left/5, time.Minute), time.Second))
}
