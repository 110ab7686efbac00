package httpapi

import (
	"net/http"
	"strings"

	"github.com/julienschmidt/httprouter"

	"secretsync/httpapi/apikey"
)

const (
	basePath    = "/api/v1"
	tenantsPath = basePath + "/tenants/"
	openAPIPath = basePath + "/openapi.json"
	metricsPath = "/metrics"
)

// route is one method of one path. The table below is what the router, the
// metrics and the OpenAPI test are made from.
type route struct {
	method string
	path   string      // as httprouter writes it, with the verb behind it, if any
	role   apikey.Role // empty: no key is needed
	handle func(*Server, *exchange) (*answer, error)
}

var routes = []route{
	{http.MethodGet, tenantsPath + ":tenant", apikey.Readonly, (*Server).getTenant},
	{http.MethodGet, tenantsPath + ":tenant/secrets", apikey.Readonly, (*Server).listSecrets},
	{http.MethodPost, tenantsPath + ":tenant/secrets", apikey.Admin, (*Server).createSecret},
	{http.MethodPost, tenantsPath + ":tenant/secrets:batch", apikey.Admin, (*Server).batchSecrets},
	{http.MethodGet, tenantsPath + ":tenant/secrets/:name", apikey.Readonly, (*Server).getSecret},
	{http.MethodPatch, tenantsPath + ":tenant/secrets/:name", apikey.Admin, (*Server).patchSecret},
	{http.MethodDelete, tenantsPath + ":tenant/secrets/:name", apikey.Admin, (*Server).deleteSecret},
	{http.MethodGet, tenantsPath + ":tenant/secrets/:name/history", apikey.Readonly, (*Server).getHistory},
	{http.MethodGet, tenantsPath + ":tenant/secrets/:name/file", apikey.Readonly, (*Server).getFile},
	{http.MethodGet, tenantsPath + ":tenant/secrets/:name/timeline", apikey.Readonly, (*Server).getTimeline},
	{http.MethodPost, tenantsPath + ":tenant/secrets/:name/sync", apikey.Admin, (*Server).syncSecret},
	{http.MethodPost, tenantsPath + ":tenant/secrets/:name/revert", apikey.Admin, (*Server).revertSecret},
	{http.MethodGet, tenantsPath + ":tenant/commits/:sha", apikey.Readonly, (*Server).getCommit},
	{http.MethodPost, tenantsPath + ":tenant/sync", apikey.Sync, (*Server).syncTenant},
	{http.MethodPost, tenantsPath + ":tenant/plan", apikey.Readonly, (*Server).planChange},
	{http.MethodPost, tenantsPath + ":tenant/commits/:sha:revert", apikey.Admin, (*Server).revertCommit},
	{http.MethodGet, tenantsPath + ":tenant/proposals", apikey.Readonly, (*Server).listProposals},
	{http.MethodGet, tenantsPath + ":tenant/clusters", apikey.Readonly, (*Server).listClusters},
	{http.MethodGet, tenantsPath + ":tenant/clusters/:name", apikey.Readonly, (*Server).getCluster},
	{http.MethodGet, tenantsPath + ":tenant/orphans", apikey.Admin, (*Server).listOrphans},
	{http.MethodDelete, tenantsPath + ":tenant/orphans/:cluster/:namespace/:secretName", apikey.Admin, (*Server).deleteOrphan},
	{http.MethodGet, tenantsPath + ":tenant/deletions", apikey.Admin, (*Server).listDeletions},
	{http.MethodPost, tenantsPath + ":tenant/deletions/:id:release", apikey.Admin, (*Server).releaseDeletions},
	{http.MethodGet, tenantsPath + ":tenant/apikeys", apikey.Admin, (*Server).listKeys},
	{http.MethodPost, tenantsPath + ":tenant/apikeys", apikey.Admin, (*Server).createKey},
	{http.MethodDelete, tenantsPath + ":tenant/apikeys/:id", apikey.Admin, (*Server).deleteKey},
	{http.MethodGet, "/healthz", "", (*Server).healthz},
	{http.MethodGet, "/readyz", "", (*Server).readyz},
	{http.MethodGet, openAPIPath, "", (*Server).serveOpenAPI},
	{http.MethodGet, metricsPath, "", (*Server).serveMetrics},
}

// cutVerb takes the verb off a path that ends with one, such as secrets:batch. A
// colon that begins a segment is no verb's: it is how routes write a parameter.
func cutVerb(path string) (rest, verb string) {
	last := strings.LastIndexByte(path, '/') + 1
	if i := strings.LastIndexByte(path[last:], ':'); i > 0 {
		return path[:last+i], path[last+i+1:]
	}
	return path, ""
}

// router finds the route of a request: a router for each verb, as httprouter
// takes a colon for a parameter, and one for paths without a verb.
type router map[string]*httprouter.Router

func (rs router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, verb := cutVerb(r.URL.Path)
	found := rs[verb]
	switch {
	case verb == "":
	case found == nil:
		found = rs[""]
	default:
		short, url := *r, *r.URL
		url.Path = path
		short.URL, r = &url, &short
	}
	found.ServeHTTP(w, r)
}
