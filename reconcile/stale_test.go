package reconcile

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"secretsync/examples/devstack"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

func TestACopyThatIsKnownToBeStaleIsNotSynced(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]devstack.Fault{
		"its write is slow":            {Match: isWrite, Delay: 1500 * time.Millisecond},
		"the cluster asks us to wait":  {Match: isWrite, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}, Times: 2},
		"the cluster takes no writes":  {Match: isWrite, Status: http.StatusInternalServerError, Times: 4},
		"a webhook refuses for a time": {Match: isWrite, Status: http.StatusForbidden, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, via := productionVia(t, devstack.Shared(t))
			w := newWorld(t, via)
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			proxy.Inject(trouble)
			w.put("db", map[string]any{"a": "2"})
			w.known("db", 2)
			stop := w.never("db", "Synced of version 1", func(s status.Target) bool { return s.State == fault.Synced && s.VaultVersion != 2 })
			defer stop()
			w.holds("production/./db", map[string]string{"a": "2"})
			w.synced("db")
			stop()
			// The same where somebody asks.
			proxy.Inject(trouble)
			w.put("db", map[string]any{"a": "3"})
			w.r.SyncNow(w.tenant(), w.parse("db"))
			_, s, err := w.r.Wait(w.ctx, w.tenant(), w.parse("db"), status.Active)
			w.must(err)
			if s.Targets[0].VaultVersion != 3 {
				t.Errorf("Active with %+v", s.Targets[0])
			}
			w.holds("production/./db", map[string]string{"a": "3"})
		})
	}
}

// known waits until a poll of a definition's path has found a version. From
// then on, and not from when it was put, its status may tell of no other.
func (w *world) known(name string, version int) {
	w.t.Helper()
	t := w.r.tenant(w.tenant())
	w.statusWhere(name, fmt.Sprintf("known version %d", version), func(status.Status) bool {
		t.mu.RLock()
		defer t.mu.RUnlock()
		d := t.definitions[w.parse(name)]
		return d != nil && d.targets[0].origin.source.State().Version.Number >= version
	})
}

// standby is a proxy that can answer reads as the vault answered them first: as
// a standby does that lags.
type standby struct {
	*httptest.Server
	mu    sync.Mutex
	lags  bool
	first map[string][]byte // by URL
	// lagged receives one word for each answer that was an old one, as long as
	// somebody listens.
	lagged chan struct{}
}

func newStandby(t *testing.T, address string) *standby {
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	s := &standby{first: make(map[string][]byte), lagged: make(chan struct{})}
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method != http.MethodGet || r.StatusCode != http.StatusOK {
			return nil
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if key := r.Request.URL.Path; s.first[key] == nil {
			s.first[key] = body
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		return nil
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		old := s.first[r.URL.Path]
		lags := s.lags && (strings.Contains(r.URL.Path, "/data/") || strings.Contains(r.URL.Path, "/metadata/"))
		s.mu.Unlock()
		if lags && old != nil {
			rw.Header().Set("Content-Type", "application/json")
			rw.Write(old)
			select {
			case s.lagged <- struct{}{}:
			default:
			}
			return
		}
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// remembers waits until both kinds of read have been answered once.
func (s *standby) remembers(w *world) {
	w.t.Helper()
	w.statusWhere("db", "both kinds of read", func(status.Status) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.first["/v1/secret/data/"+w.name+"/db"] != nil && s.first["/v1/secret/metadata/"+w.name+"/db"] != nil
	})
}

// answers waits until it was asked so many times while it lags, or something
// else comes first; then it is false.
func (s *standby) answers(w *world, times int, first <-chan status.Status) bool {
	w.t.Helper()
	end := time.After(deadline)
	for range times {
		select {
		case <-s.lagged:
		case got := <-first:
			w.t.Errorf("answered while the vault turned back: %+v", got.Targets)
			return false
		case <-end:
			w.t.Fatal("the standby is not asked again")
		}
	}
	return true
}

func (s *standby) lag(lags bool) {
	s.mu.Lock()
	s.lags = lags
	s.mu.Unlock()
}

func TestAStandbyThatLagsTurnsNoCopyBack(t *testing.T) {
	t.Parallel()
	stack := devstack.Shared(t)
	s := newStandby(t, stack.Vault.Address)
	w := newWorldOn(t, stack, func(w *world) { w.config.Tenants[0].Vault.Address = s.URL })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	s.remembers(w)
	w.put("db", map[string]any{"a": "2"})
	before := w.holds("production/./db", map[string]string{"a": "2"}).ResourceVersion
	w.synced("db")
	stop := w.never("db", "Synced of version 1", func(s status.Target) bool { return s.State == fault.Synced && s.VaultVersion != 2 })
	defer stop()
	s.lag(true)
	w.r.SyncNow(w.tenant(), w.parse("db"))
	answered := make(chan status.Status, 1)
	go func() {
		_, s, _ := w.r.Wait(w.ctx, w.tenant(), w.parse("db"), status.Active)
		answered <- s
	}()
	if !s.answers(w, 5, answered) {
		return
	}
	s.lag(false)
	if s := <-answered; s.Targets[0].VaultVersion != 2 {
		t.Errorf("%+v", s.Targets)
	}
	if now := w.get("production/./db"); now.ResourceVersion != before {
		t.Errorf("it was written: %v", now.Annotations)
	}
}

// After a restart only the copy tells that there was a newer version.
func TestAStandbyThatLagsTurnsNoCopyBackAfterARestart(t *testing.T) {
	t.Parallel()
	stack := devstack.Shared(t)
	s := newStandby(t, stack.Vault.Address)
	w := newWorldOn(t, stack, func(w *world) { w.config.Tenants[0].Vault.Address = s.URL })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	s.remembers(w)
	w.put("db", map[string]any{"a": "2"})
	before := w.holds("production/./db", map[string]string{"a": "2"}).ResourceVersion
	w.stop()
	s.lag(true)
	w.start()
	w.statusWhere("db", "being asked again", func(s status.Status) bool { return strings.Contains(s.Targets[0].Message, "older than version 2") })
	stop := w.never("db", "Synced of version 1", func(s status.Target) bool { return s.State == fault.Synced && s.VaultVersion != 2 })
	s.answers(w, 5, nil)
	s.lag(false)
	w.synced("db")
	stop()
	if now := w.get("production/./db"); now.ResourceVersion != before {
		t.Errorf("it was written: %v", now.Annotations)
	}
}

func TestAVaultThatWasTurnedBackIsFollowedOnceItKeepsToIt(t *testing.T) {
	t.Parallel()
	stack := devstack.Shared(t)
	s := newStandby(t, stack.Vault.Address)
	w := newWorldOn(t, stack, func(w *world) { w.config.Tenants[0].Vault.Address = s.URL })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	s.remembers(w)
	w.put("db", map[string]any{"a": "2"})
	w.holds("production/./db", map[string]string{"a": "2"})
	s.lag(true) // for good: a backup was restored
	w.until("production/./db", "the value that was restored", func(s *corev1.Secret) bool { return string(s.Data["a"]) == "1" })
	w.synced("db")
}
