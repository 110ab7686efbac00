package reconcile

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"

	"k8s.io/client-go/rest"
)

// lateEvents has the events of production come only once they are let: what a write changed is
// then known by its answer first, as it is now and then where a machine is busy.
func lateEvents(held *atomic.Bool, let <-chan struct{}) func(*world) {
	return func(w *world) {
		cfg := rest.CopyConfig(w.stack.Cluster("production").Config)
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				answer, err := next.RoundTrip(r)
				if err == nil && r.URL.Query().Get("watch") != "" {
					answer.Body = &lateBody{ReadCloser: answer.Body, held: held, let: let, closed: make(chan struct{})}
				}
				return answer, err
			})
		})
		w.config.Clusters[0].REST = cfg
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// lateBody holds back what it has read.
type lateBody struct {
	io.ReadCloser
	held   *atomic.Bool
	let    <-chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (b *lateBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.held.Load() {
		select {
		case <-b.let:
		case <-b.closed:
		}
	}
	return n, err
}

func (b *lateBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.ReadCloser.Close()
}

// What an answer tells the watch does not tell again, and others wait for it.
func TestWhoWaitsForASecretToBeSharedNeedsNoEventToLearnIt(t *testing.T) {
	t.Parallel()
	var held atomic.Bool
	let := make(chan struct{})
	w := newWorld(t, lateEvents(&held, let))
	w.put("whole", map[string]any{"a": "1", "b": "2"})
	w.put("part", map[string]any{"p": "3"})
	w.push(map[string]*string{fileOf("whole"): w.yaml("whole", "", "app")})
	w.synced("whole")
	w.share("part", "", "p")
	w.status("part", fault.ReasonTargetConflict)
	w.statusWhere("part", "its value being known, so that this does not wake it later", func(status.Status) bool {
		tenant := w.r.tenant(w.tenant())
		tenant.mu.RLock()
		defer tenant.mu.RUnlock()
		return tenant.definitions[w.parse("part")].targets[0].origin.source.State().Known
	})
	held.Store(true)
	w.share("whole", "", "a")
	w.synced("whole", "part")
	w.app(map[string]string{"a": "1", "p": "3"})
	close(let)
	w.synced("whole", "part")
}
