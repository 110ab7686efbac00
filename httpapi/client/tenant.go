package client

import (
	"context"
	"net/http"
	"net/url"
)

// GetTenant returns the tenant; it is the call by which a key is tried.
func (c *Client) GetTenant(ctx context.Context) (*Tenant, error) {
	return get[Tenant](ctx, c, call{})
}

// GetCommit returns whether a commit is live, and can wait until it is.
func (c *Client) GetCommit(ctx context.Context, sha string, o WaitOptions) (*CommitStatus, error) {
	return get[CommitStatus](ctx, c, o.of("/commits/"+url.PathEscape(sha)))
}

// PlanChange says what a change of definitions would do. Nothing is changed.
func (c *Client) PlanChange(ctx context.Context, request PlanRequest) (*Plan, error) {
	return ask[Plan](ctx, c, call{method: http.MethodPost, path: "/plan", in: request, safe: true})
}

// ListProposals returns the changes that were proposed as pull requests.
func (c *Client) ListProposals(ctx context.Context) (*ProposalList, error) {
	return get[ProposalList](ctx, c, call{path: "/proposals"})
}

// ListClusters returns the clusters that are registered for the tenant.
func (c *Client) ListClusters(ctx context.Context) (*ClusterList, error) {
	return get[ClusterList](ctx, c, call{path: "/clusters"})
}

// GetCluster returns one of them.
func (c *Client) GetCluster(ctx context.Context, name string) (*Cluster, error) {
	return get[Cluster](ctx, c, call{path: "/clusters/" + url.PathEscape(name)})
}

// ListKeys returns the tenant's keys, never a key itself.
func (c *Client) ListKeys(ctx context.Context) (*KeyList, error) {
	return get[KeyList](ctx, c, call{path: "/apikeys"})
}

// CreateKey makes a key.
func (c *Client) CreateKey(ctx context.Context, request KeyRequest) (*NewKey, error) {
	return ask[NewKey](ctx, c, call{method: http.MethodPost, path: "/apikeys", in: request})
}

// DeleteKey revokes a key, in force at once.
func (c *Client) DeleteKey(ctx context.Context, id string) error {
	_, err := c.do(ctx, &call{method: http.MethodDelete, path: "/apikeys/" + url.PathEscape(id)})
	return err
}

// ListOrphans returns the copies that no definition claims any more.
func (c *Client) ListOrphans(ctx context.Context) (*OrphanList, error) {
	return get[OrphanList](ctx, c, call{path: "/orphans"})
}

// DeleteOrphan deletes one of them from its cluster.
func (c *Client) DeleteOrphan(ctx context.Context, o Orphan) error {
	path := "/orphans/" + url.PathEscape(o.Cluster) + "/" + url.PathEscape(o.Namespace) + "/" + url.PathEscape(o.SecretName)
	if o.Keys != nil {
		path += "?definition=" + url.QueryEscape(o.Definition)
	}
	_, err := c.do(ctx, &call{method: http.MethodDelete, path: path})
	return err
}

// ListDeletions returns the copies whose deletion is held.
func (c *Client) ListDeletions(ctx context.Context) (*Deletions, error) {
	return get[Deletions](ctx, c, call{path: "/deletions"})
}

// ReleaseDeletions lets just those be deleted that are held under an id.
func (c *Client) ReleaseDeletions(ctx context.Context, id string) (*Deletions, error) {
	return ask[Deletions](ctx, c, call{method: http.MethodPost, path: "/deletions/" + url.PathEscape(id) + ":release"})
}

// Healthz returns whether the program is alive.
func (c *Client) Healthz(ctx context.Context) (*Health, error) {
	return get[Health](ctx, c, call{path: "/healthz", root: true})
}

// Readyz returns whether requests should be sent there; an [*Error] of 503 if not.
func (c *Client) Readyz(ctx context.Context) (*Readiness, error) {
	return get[Readiness](ctx, c, call{path: "/readyz", root: true})
}
