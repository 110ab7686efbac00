package keystore

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"secretsync/httpapi/apikey"
)

// reading is the reading of all Secrets for who calls [Cluster.CatchUp]: one of them does it, for
// all who came before it began.
type reading struct {
	turn  chan struct{} // has room for who reads, or is about to; the rest is his
	began time.Time     // last
	err   error         // what became of that
	rests time.Time     // till then
}

const (
	// catchUpLimit is how long a caller waits for his turn, and how long a reading may take.
	catchUpLimit = 3 * time.Second
	// After a reading there is none for a second, and for nine times as long as it took: strangers
	// can have no more than a tenth of the time be spent with it.
	leastRest = time.Second
	restParts = 9
)

// CatchUp has the keys known that other servers had made when it was called. It reads the Secrets
// once for all who call it meanwhile, and then not again for a while. It fails with
// [gitstore.ErrUnavailable] if they can't be had soon.
func (c *Cluster) CatchUp(ctx context.Context) error {
	came := c.clock.Now()
	ctx, cancel := context.WithTimeout(ctx, catchUpLimit)
	defer cancel()
	r := &c.reading
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return errNotSoon
	}
	if r.began.After(came) {
		return r.err
	}
	if rest := r.rests.Sub(c.clock.Now()); rest > 0 && c.pause(ctx, rest) != nil {
		return errNotSoon
	}
	r.began = c.clock.Now()
	r.err = c.readAll(context.WithoutCancel(ctx)) // others wait for it as well
	ended := c.clock.Now()
	r.rests = ended.Add(max(leastRest, restParts*ended.Sub(r.began)))
	return r.err
}

var errNotSoon = &apikey.UnavailableError{Why: "the API keys can't be read anew soon enough"}

// readAll takes in all Secrets that are newer than what is known of them.
func (c *Cluster) readAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpLimit)
	defer cancel()
	_, err := c.each(ctx, func(s *corev1.Secret) {
		if tenant, ok := tenantOf(s.Name); ok && c.versionOf(tenant) != s.ResourceVersion {
			c.takeAnswer(s)
		}
	})
	if err != nil {
		return unavailable("list", err)
	}
	return nil
}
