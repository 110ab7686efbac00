package vault

import (
	"net/http"
	"net/http/httptest"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"secretsync/examples/devstack"
)

// proxyOf is a proxy before a world's vault.
type proxyOf struct{ *devstack.Proxy }

func (p *proxyOf) before(w *world) { through(&p.Proxy)(w) }

func (p *proxyOf) slow(by time.Duration, times int) {
	p.Inject(devstack.Fault{Delay: by, Times: times})
}

var kv1 = &vaultapi.MountInput{Type: "kv", Options: map[string]string{"version": "1"}}

// redirecting answers every request with 307 to an address; none is its own.
func redirecting(w *world, to string) string {
	w.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, to+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	w.t.Cleanup(server.Close)
	return server.URL
}
