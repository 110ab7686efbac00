package clusters

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"secretsync/gitstore"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/render"
	"secretsync/reconcile/sweep"
)

// OrphanKeeper knows the copies that no definition claims any more, and deletes
// one that is named to it, if it is proven to be one. While it can't tell, errors
// match [sweep.ErrNotYet].
type OrphanKeeper interface {
	Orphans(context.Context, gitstore.TenantName) ([]sweep.Orphan, error)
	RemoveOrphan(context.Context, gitstore.TenantName, sweep.Orphan) error
}

// Orphans tells the copies that no definition claims any more.
func (c *Clusters) Orphans(x *exchange.Exchange) (*exchange.Answer, error) {
	orphans, err := c.Reconciler.Orphans(x.Request.Context(), x.Tenant.Name)
	if err != nil {
		return nil, err
	}
	body := []byte(`{"items":[`)
	for i, o := range orphans {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendOrphan(body, &o)
	}
	return &exchange.Answer{Status: http.StatusOK, Body: append(body, "]}\n"...)}, nil
}

// DeleteOrphan deletes a Secret from a cluster, or a definition's keys from one that is
// shared: the one call of the API that does so itself. It must be an orphan of the
// tenant's at this moment.
func (c *Clusters) DeleteOrphan(x *exchange.Exchange) (*exchange.Answer, error) {
	orphans, err := c.Reconciler.Orphans(x.Request.Context(), x.Tenant.Name)
	if err != nil {
		return nil, err
	}
	cluster, namespace, secret := x.Params.ByName("cluster"), x.Params.ByName("namespace"), x.Params.ByName("secretName")
	definition, place := x.Request.URL.Query().Get("definition"), cluster+"/"+namespace+"/"+secret
	found := slices.DeleteFunc(orphans, func(o sweep.Orphan) bool {
		return o.Cluster.String() != cluster || o.Namespace != namespace || o.Secret != secret || definition != "" && o.Definition != definition
	})
	switch {
	case len(found) == 0:
		return nil, x.NoSuch("orphan", place)
	case len(found) > 1:
		return nil, fmt.Errorf("several definitions left their keys in Secret %s; say which one's go: ?definition=%s: %w", place, found[0].Definition, gitstore.ErrConflict)
	}
	x.Subject, x.Did = place, audit.OrphanRemoved
	if err := c.Reconciler.RemoveOrphan(x.Request.Context(), x.Tenant.Name, found[0]); err != nil {
		return nil, err
	}
	return &exchange.Answer{Status: http.StatusNoContent}, nil
}

func appendOrphan(b []byte, o *sweep.Orphan) []byte {
	b = render.Name(append(b, `{"cluster":`...), o.Cluster)
	b = render.String(append(b, `,"namespace":`...), o.Namespace)
	b = render.String(append(b, `,"secretName":`...), o.Secret)
	b = render.String(append(b, `,"definition":`...), o.Definition)
	b = render.String(append(b, `,"secretPath":`...), o.VaultPath)
	b = render.String(append(b, `,"commit":`...), o.Commit)
	if o.Keys != nil {
		b = append(b, `,"keys":[`...)
		for i, key := range o.Keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = render.String(b, key)
		}
		b = append(b, ']')
	}
	if o.Doubt != "" {
		b = render.String(append(b, `,"doubt":`...), o.Doubt)
	}
	return append(b, '}')
}
