package httpapi

import (
	"net/http"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/githttp"
)

const (
	basePath    = "/api/v1"
	tenantsPath = basePath + "/tenants/"
	openAPIPath = basePath + "/openapi.json"
	metricsPath = "/metrics"
	gitPath     = "/git/" // see package clones
)

// apiRoutes are those of the API. This table is what the router, the metrics and the
// OpenAPI test are made from.
func (s *Server) apiRoutes() []exchange.Route {
	return []exchange.Route{
		{Method: http.MethodGet, Path: tenantsPath + ":tenant", Role: apikey.Readonly, Handle: s.getTenant},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/secrets", Role: apikey.Readonly, Handle: s.definitions.List},
		{Method: http.MethodPost, Path: tenantsPath + ":tenant/secrets", Role: apikey.Admin, Handle: s.definitions.Create},
		{Method: http.MethodPost, Path: tenantsPath + ":tenant/secrets:batch", Role: apikey.Admin, Handle: s.definitions.Batch},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/secrets/:name", Role: apikey.Readonly, Handle: s.definitions.Get},
		{Method: http.MethodPatch, Path: tenantsPath + ":tenant/secrets/:name", Role: apikey.Admin, Handle: s.definitions.Patch},
		{Method: http.MethodDelete, Path: tenantsPath + ":tenant/secrets/:name", Role: apikey.Admin, Handle: s.definitions.Delete},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/secrets/:name/history", Role: apikey.Readonly, Handle: s.definitions.History},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/secrets/:name/file", Role: apikey.Readonly, Handle: s.definitions.File},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/secrets/:name/timeline", Role: apikey.Readonly, Handle: s.definitions.Timeline},
		{Method: http.MethodPost, Path: tenantsPath + ":tenant/secrets/:name/sync", Role: apikey.Admin, Handle: s.definitions.Sync},
		{Method: http.MethodPost, Path: tenantsPath + ":tenant/secrets/:name/revert", Role: apikey.Admin, Handle: s.definitions.Revert},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/commits/:sha", Role: apikey.Readonly, Handle: s.commits.Get},
		{Method: http.MethodPost, Path: tenantsPath + ":tenant/sync", Role: apikey.Sync, Handle: s.definitions.SyncTenant},
		{Method: http.MethodPost, Path: tenantsPath + ":tenant/plan", Role: apikey.Readonly, Handle: s.commits.Plan},
		{Method: http.MethodPost, Path: tenantsPath + ":tenant/commits/:sha:revert", Role: apikey.Admin, Handle: s.definitions.RevertCommit},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/proposals", Role: apikey.Readonly, Handle: s.definitions.Proposals},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/clusters", Role: apikey.Readonly, Handle: s.clusters.List},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/clusters/:name", Role: apikey.Readonly, Handle: s.clusters.Get},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/orphans", Role: apikey.Admin, Handle: s.clusters.Orphans},
		{Method: http.MethodDelete, Path: tenantsPath + ":tenant/orphans/:cluster/:namespace/:secretName", Role: apikey.Admin, Handle: s.clusters.DeleteOrphan},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/deletions", Role: apikey.Admin, Handle: s.clusters.Deletions},
		{Method: http.MethodPost, Path: tenantsPath + ":tenant/deletions/:id:release", Role: apikey.Admin, Handle: s.clusters.ReleaseDeletions},
		{Method: http.MethodGet, Path: tenantsPath + ":tenant/apikeys", Role: apikey.Admin, Handle: s.keys.List},
		{Method: http.MethodPost, Path: tenantsPath + ":tenant/apikeys", Role: apikey.Admin, Handle: s.keys.Create},
		{Method: http.MethodDelete, Path: tenantsPath + ":tenant/apikeys/:id", Role: apikey.Admin, Handle: s.keys.Delete},
		{Method: http.MethodGet, Path: "/healthz", Handle: s.probes.Health},
		{Method: http.MethodGet, Path: "/readyz", Handle: s.probes.Ready},
		{Method: http.MethodGet, Path: openAPIPath, Handle: s.serveOpenAPI},
		{Method: http.MethodGet, Path: metricsPath, Handle: s.probes.Metrics},
	}
}

// gitRoutes are Git's protocol and not the API's, so the API's description has none of it.
func (s *Server) gitRoutes() []exchange.Route {
	return []exchange.Route{
		{Method: http.MethodGet, Path: gitPath + ":repository/info/refs", Role: apikey.Readonly, Handle: s.clones.Refs},
		{Method: http.MethodPost, Path: gitPath + ":repository/" + string(githttp.UploadPack), Role: apikey.Readonly, Handle: s.clones.Fetch, Reads: true},
		{Method: http.MethodPost, Path: gitPath + ":repository/" + string(githttp.ReceivePack), Role: apikey.Readonly, Handle: s.clones.Push},
	}
}

// otherRoutes are those of forges, which have no key, and of people.
func (s *Server) otherRoutes() []exchange.Route {
	all := []exchange.Route{{Method: http.MethodPost, Path: hooksPath + ":tenant", Handle: s.receiveHook}}
	if s.console != nil {
		all = append(all,
			exchange.Route{Method: http.MethodGet, Path: "/", Handle: s.servePage},
			exchange.Route{Method: http.MethodGet, Path: consolePath + "*page", Handle: s.servePage},
			exchange.Route{Method: http.MethodPost, Path: consolePath + "*page", Handle: s.servePage},
		)
	}
	return all
}
