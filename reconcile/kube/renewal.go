package kube

import (
	"context"
	"errors"

	"secretsync/reconcile/fault"
)

// differs looks at the files and the configuration, and reports whether another
// way leads to the cluster now. Where they can't be used what is in force stays.
func (c *connection) differs() bool {
	w, err := c.config().way()
	if err == nil && w.print == c.client.way.print {
		if w.tokenFile != "" {
			c.swap(w.token)
		}
		c.unusable = ""
		return false
	}
	if err == nil {
		// Of two files that belong together one may be new already.
		_, err = newClient(w, credentials{}, c.config, c.limiter, nil)
	}
	if err == nil {
		return true
	}
	if said := err.Error(); said != c.unusable {
		c.unusable = said
		detail := err
		if b := new(blocked); errors.As(err, &b) {
			detail = b.detail
		}
		c.log.Warn("what leads to the cluster changed and can't be used; the connection stays as it is", "cause", said, "detail", fault.Clean(detail.Error()))
	}
	return false
}

// token reports whether a request that was refused is worth another try: its
// file holds another token than the one before, or did so for somebody else.
func (c *connection) token(before *string, err error) bool {
	if kindOf(err) != Unauthorized || c.client.way.tokenFile == "" {
		return false
	}
	if c.client.bearer.token.Load() != before {
		return true
	}
	token, err := readToken(c.client.way.tokenFile)
	return err == nil && c.swap(token)
}

// swap puts another token in force.
func (c *connection) swap(token string) bool {
	old := c.client.bearer.token.Load()
	if *old == token || !c.client.bearer.token.CompareAndSwap(old, &token) {
		return false
	}
	c.log.Info("another token was read from the cluster's token file")
	return true
}

// wider looks whether we may see more than when the connection began: all
// namespaces by one watch, or which cluster this is.
func (c *connection) wider(ctx context.Context) *trouble {
	if c.assumed {
		if _, err := c.client.system(ctx); err == nil {
			return anew("the namespace kube-system may be read now")
		}
	}
	if !c.everywhere() && c.Outage() == nil {
		if _, err := c.client.probe(ctx, ""); err == nil {
			return anew("secrets may be listed in the whole cluster now")
		}
	}
	return nil
}
