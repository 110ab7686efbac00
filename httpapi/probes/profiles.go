package probes

import (
	"net/http"
	"net/http/pprof"
	"strings"
)

// profilesPath is where `go tool pprof` looks.
const profilesPath = "/debug/pprof/"

// WithProfiles serves what the process is busy with before all else: stacks, counts and
// addresses of code, and no memory's content. They are named here one by one, on a
// multiplexer of their own; net/http's default one, where that package registers itself
// as well, is served by nobody. The command line is left out.
func WithProfiles(rest http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+profilesPath+"{$}", pprof.Index)
	mux.HandleFunc("GET "+profilesPath+"profile", pprof.Profile)
	mux.HandleFunc("GET "+profilesPath+"trace", pprof.Trace)
	mux.HandleFunc("GET "+profilesPath+"symbol", pprof.Symbol)
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		mux.Handle("GET "+profilesPath+name, pprof.Handler(name))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, profilesPath) {
			mux.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r) // which redirects nobody, as a multiplexer would
	})
}
