package clusters

import (
	"net/http"

	"secretsync/gitstore"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/header"
	"secretsync/httpapi/render"
	"secretsync/reconcile/status"
)

// Clusters answers what is asked of the clusters of all tenants.
type Clusters struct{ Reconciler Reconciler }

// Reconciler is what is asked of a *[reconcile.Reconciler].
type Reconciler interface {
	Source
	OrphanKeeper
	DeletionKeeper
}

// Source tells a tenant's clusters and how they stand, without waiting.
type Source interface {
	Clusters(gitstore.TenantName) []status.Cluster
}

// List tells all of a tenant's clusters.
func (c *Clusters) List(x *exchange.Exchange) (*exchange.Answer, error) {
	body := []byte(`{"items":[`)
	for i, cluster := range c.Reconciler.Clusters(x.Tenant.Name) {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendCluster(body, &cluster)
	}
	return &exchange.Answer{Status: http.StatusOK, Body: append(body, "]}\n"...)}, nil
}

// Get tells one of them.
func (c *Clusters) Get(x *exchange.Exchange) (*exchange.Answer, error) {
	name := x.Params.ByName("name")
	for _, cluster := range c.Reconciler.Clusters(x.Tenant.Name) {
		if cluster.Name.String() == name {
			body := append(appendCluster(nil, &cluster), '\n')
			return &exchange.Answer{Status: http.StatusOK, ETag: header.BodyETag(body), Body: body}, nil
		}
	}
	return nil, x.NoSuch("cluster", name)
}

// appendCluster leaves out why a cluster can't be reached: that tells of the
// operator's network.
func appendCluster(b []byte, c *status.Cluster) []byte {
	b = render.Name(append(b, `{"name":`...), c.Name)
	phase := "Unreachable"
	if c.Reachable {
		phase = "Running"
	}
	b = render.String(append(b, `,"status":{"phase":`...), phase)
	b = append(b, `,"kubernetesVersion":`...)
	if c.KubernetesVersion == "" {
		b = append(b, "null"...) // not reached yet
	} else {
		b = render.String(b, c.KubernetesVersion)
	}
	return append(b, "}}"...)
}
