package exchange

import (
	"net/http"
	"strings"

	"github.com/julienschmidt/httprouter"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/problem"
)

// Handler answers a request: with an answer, an error, or nil where it has written to the
// exchange's [Exchange.Stream] itself.
type Handler func(*Exchange) (*Answer, error)

// Route is one method of one path.
type Route struct {
	Method string
	Path   string      // as httprouter writes it, with the verb behind it, if any
	Role   apikey.Role // empty: no key is needed
	Handle Handler
	Reads  bool // it only reads, whatever its method is
}

// Router finds the route of a request: a router for each verb, as httprouter
// takes a colon for a parameter, and one for paths without a verb. It never redirects: a
// path is right as it stands or does not exist.
type Router map[string]*httprouter.Router

// NewRouter makes the router for some routes. It serves an [Exchange] that was begun at
// the desk, as its ResponseWriter.
func (d *Desk) NewRouter(routes []Route) Router {
	all := Router{"": newVerbRouter()}
	for i := range routes {
		rt := &routes[i]
		path, verb := cutVerb(rt.Path)
		if all[verb] == nil {
			all[verb] = newVerbRouter()
		}
		methods := []string{rt.Method}
		if rt.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for _, method := range methods {
			observers := d.metrics.observers(d.cfg.Log, method, rt.Path)
			all[verb].Handle(method, path, func(w http.ResponseWriter, _ *http.Request, ps httprouter.Params) {
				x := w.(*Exchange)
				x.route, x.observers, x.Params = rt, observers, ps
				x.run()
			})
		}
	}
	return all
}

func (rs Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions && r.URL.Path == "*" {
		options(w, r)
		return
	}
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

// cutVerb takes the verb off a path that ends with one, such as secrets:batch. A
// colon that begins a segment is no verb's: it is how routes write a parameter.
func cutVerb(path string) (rest, verb string) {
	last := strings.LastIndexByte(path, '/') + 1
	if i := strings.LastIndexByte(path[last:], ':'); i > 0 {
		return path[:last+i], path[last+i+1:]
	}
	return path, ""
}

func newVerbRouter() *httprouter.Router {
	return &httprouter.Router{
		HandleMethodNotAllowed: true,
		HandleOPTIONS:          true,
		NotFound:               http.HandlerFunc(noRoute),
		MethodNotAllowed:       http.HandlerFunc(noMethod),
		GlobalOPTIONS:          http.HandlerFunc(options),
	}
}

func noRoute(w http.ResponseWriter, _ *http.Request) { w.(*Exchange).Fail(problem.ErrNoRoute) }

// noMethod runs after the router has set Allow.
func noMethod(w http.ResponseWriter, _ *http.Request) { w.(*Exchange).Fail(problem.ErrMethod) }

func options(w http.ResponseWriter, _ *http.Request) {
	w.(*Exchange).send(&Answer{Status: http.StatusNoContent})
}

// run calls the route's handler if the key's role allows it.
func (x *Exchange) run() {
	if need := x.route.Role; need != "" {
		if x.Key == nil {
			x.Fail(problem.ErrNoKey)
			return
		}
		if !x.Key.Role.Allows(need) {
			err := problem.ErrRole
			if x.Key.Role == apikey.Sync {
				err = problem.ErrSyncOnly
			}
			x.Fail(err)
			return
		}
	}
	a, err := x.route.Handle(x)
	switch {
	case err != nil:
		x.Fail(err)
	case a != nil: // or else the handler has answered
		x.send(a)
	}
}
