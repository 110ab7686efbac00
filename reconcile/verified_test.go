package reconcile

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"secretsync/examples/devstack"
	"secretsync/reconcile/verify"
)

// verifiable is where an independent check of a world looks: at the
// repository, the vault and the clusters themselves, never by way of a proxy.
func (w *world) verifiable(grace time.Duration) verify.Sources {
	w.t.Helper()
	s := verify.Sources{Grace: grace, Clusters: make(map[string]verify.Cluster)}
	for _, c := range w.stack.Clusters() {
		reader, err := verify.NewClusterReader(c.Config)
		w.must(err)
		s.Clusters[c.Name] = reader
	}
	for i := range w.config.Tenants {
		t := &w.config.Tenants[i]
		grants := make(map[string]verify.Grant)
		for alias, g := range t.Clusters {
			grants[alias.String()] = verify.Grant{Cluster: g.Cluster, Namespaces: g.Namespaces, ByName: g.ByName}
		}
		s.Tenants = append(s.Tenants, verify.Tenant{
			Name:     t.Name.String(),
			Head:     verify.OpenRepository(filepath.Join(w.dir, t.Name.String()+".git"), "main"),
			Status:   verify.StatusFunc(func(context.Context) ([]verify.Claim, error) { return w.claims(t), nil }),
			Vault:    verify.NewVaultReader(w.stack.Vault.Client, nil, t.Vault.Mount, t.Vault.Prefix),
			Clusters: grants,
			Interval: interval(w.config, *t),
		})
	}
	return s
}

// claims is what the reconciler says of a tenant's definitions.
func (w *world) claims(t *Tenant) []verify.Claim {
	var claims []verify.Claim
	for _, e := range t.Repository.Snapshot().Entries() {
		s := w.r.Status(t.Name, e)
		c := verify.Claim{Definition: e.Name.String(), Path: e.Definition.SecretPath.String(), Phase: string(s.Phase), Reason: string(s.Ready.Reason)}
		for _, spec := range e.Definition.Sync {
			c.Sync = append(c.Sync, verify.Place{Cluster: spec.Cluster.String(), Namespace: spec.Namespace.String(), Secret: spec.Secret(e.Name).String()})
		}
		for _, x := range s.Targets {
			at := verify.Place{Cluster: x.Target.Cluster.String(), Namespace: x.Target.Namespace.String(), Secret: x.Secret.String()}
			target := verify.TargetClaim{Place: at, State: string(x.State), Reason: string(x.Reason), LastSync: x.LastSync, VaultVersion: x.VaultVersion}
			if !x.Commit.IsZero() {
				target.Commit = x.Commit.String()
			}
			c.Targets = append(c.Targets, target)
		}
		claims = append(claims, c)
	}
	return claims
}

// verified ends the faults, lets commits, values and hand edits go on, slowly
// enough that they don't heal what is wrong, and has all that is said checked
// meanwhile: that nothing is Synced that is not, and no error is told ten
// seconds after its cause went. Some time is left for a slow machine, since what
// is a lie stays one: the poll interval of a world is one second.
func (c *chaos) verified() {
	c.t.Helper()
	c.looks++
	c.calm()
	type result struct {
		lies []verify.Lie
		err  error
	}
	ctx, cancel := context.WithTimeout(c.ctx, deadline)
	defer cancel()
	checked := make(chan result, 1)
	sources := c.verifiable(3 * time.Second)
	sources.Recovery = 10 * time.Second
	go func() {
		lies, err := verify.Check(ctx, sources)
		checked <- result{lies, err}
	}()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.peaceful()
		case r := <-checked:
			for _, l := range r.lies {
				c.t.Errorf("after %d steps a lie: %v", c.steps, l)
			}
			if r.err != nil {
				c.t.Errorf("after %d steps not checked: %v", c.steps, r.err)
			}
			return
		}
	}
}

// peaceful makes one thing happen that leaves vault and clusters reachable.
func (c *chaos) peaceful() {
	c.steps++
	switch c.rand.IntN(3) {
	case 0:
		c.change()
	case 1:
		c.value()
	case 2:
		c.meddle()
	}
}

// What is found by the check is a lie: of a copy that is wrong and a status that
// can't know, since the cluster is cut off, it is found; once the cluster is
// back, none is.
func TestTheIndependentCheckFindsAStatusThatCantKnow(t *testing.T) {
	t.Parallel()
	stack := devstack.Shared(t)
	proxy, via := productionVia(t, stack)
	// It does not notice that it is cut off, however long the check takes.
	w := newWorldOn(t, stack, via, func(w *world) { w.config.Clusters[0].Timeout = time.Hour })
	w.put("db", map[string]any{"password": "one"})
	w.define("db", "production/.")
	w.synced("db")
	// Only a lie takes as long as the grace: where there is none the check ends sooner.
	check := func(grace time.Duration) []verify.Lie {
		t.Helper()
		lies, err := verify.Check(t.Context(), w.verifiable(grace))
		w.must(err)
		return lies
	}
	if lies := check(verify.DefaultGrace); len(lies) > 0 {
		t.Errorf("found %v of a server that tells the truth", lies)
	}
	proxy.Freeze()
	w.delete("production/./db")
	if lies := check(200 * time.Millisecond); len(lies) != 1 || lies[0].Kind != verify.Absent {
		t.Errorf("found %v; want one absent copy", lies)
	}
	proxy.Thaw()
	w.holds("production/./db", map[string]string{"password": "one"})
	if lies := check(verify.DefaultGrace); len(lies) > 0 {
		t.Errorf("found %v of a server that tells the truth again", lies)
	}
}
