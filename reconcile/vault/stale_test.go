package vault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// standby is a vault's standby that lags: while it does, it answers with the
// first version only. If it forwards, it passes on what asks for the active node.
type standby struct {
	lags     atomic.Bool
	forwards bool
	stale    atomic.Int64 // answers with the first version
	first    string       // created_time of it
}

func (s *standby) before(w *world) {
	w.t.Helper()
	upstream, err := url.Parse(w.vault.Address)
	w.must(err)
	active := httputil.NewSingleHostReverseProxy(upstream)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asks := r.Header.Get("X-Vault-Forward") == "active-node"
		if s.forwards {
			r.Header.Del("X-Vault-Forward")
			r.Header.Del("X-Vault-Inconsistent")
		}
		data := strings.Contains(r.URL.Path, "/data/")
		if !s.lags.Load() || asks && s.forwards || !data && !strings.Contains(r.URL.Path, "/metadata/") {
			active.ServeHTTP(rw, r)
			return
		}
		s.stale.Add(1)
		first := map[string]any{"created_time": s.first, "deletion_time": "", "destroyed": false}
		answer := map[string]any{"current_version": 1, "versions": map[string]any{"1": first}}
		if data {
			first["version"] = 1
			answer = map[string]any{"data": map[string]any{"a": "1"}, "metadata": first}
		}
		json.NewEncoder(rw).Encode(map[string]any{"data": answer})
	}))
	w.t.Cleanup(server.Close)
	w.cfg.Address = server.URL
}

func TestAnAnswerOlderThanOneSeenDoesNotCount(t *testing.T) {
	t.Parallel()
	for _, forwards := range []bool{false, true} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("forwards=%v,restarted=%v", forwards, restarted), func(t *testing.T) {
				t.Parallel()
				node := &standby{forwards: forwards}
				w := newWorld(t, node.before)
				w.put("db", map[string]any{"a": "1"})
				s := w.source("db")
				w.holds(s, 1)
				node.first = s.State().Version.Created
				w.put("db", map[string]any{"a": "2"})
				w.holds(s, 2)
				second := s.State().Version

				lags := time.Now()
				node.lags.Store(true)
				if restarted {
					// Only the copy remembers version 2.
					s.Close()
					s = w.source("db")
					s.Look()
					w.until("the older version", func() bool { return s.State().Known })
					if s.State().Version.Number != 1 {
						t.Fatalf("%+v", s.State())
					}
					for range 3 {
						s.Confirm(second)
					}
				} else {
					s.Refresh()
				}
				if !forwards {
					w.until("a few answers of the standby", func() bool { return node.stale.Load() >= 3 })
					if state := s.State(); state.Confirmed || !restarted && (state.Version != second || !state.Asked) {
						t.Fatalf("%+v", state)
					}
					// The fifth comes after less than two seconds, and each after it two seconds later.
					if n := node.stale.Load(); n > 5+int64(time.Since(lags)/(2*time.Second)) {
						t.Errorf("%d requests in %s", n, time.Since(lags))
					}
					node.lags.Store(false)
				}
				w.until("version 2", func() bool { state := s.State(); return state.Version == second && !state.Asked })
				if v := w.holds(s, 2); string(v.Data["a"]) != "2" {
					t.Errorf("%v", v.Data)
				}
				if s.State().Confirmed {
					t.Error("version 2 is said to be an old one")
				}
			})
		}
	}
}

func TestAVaultThatWasTurnedBackIsBelievedInTheEnd(t *testing.T) {
	t.Parallel()
	node := &standby{}
	w := newWorld(t, node.before)
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	w.holds(s, 1)
	first := s.State().Version
	node.first = first.Created
	w.put("db", map[string]any{"a": "2"})
	w.holds(s, 2)
	second := s.State().Version
	began := time.Now()
	node.lags.Store(true)
	s.Refresh()
	w.until("the end of it", func() bool { return !s.State().Asked })
	if took := time.Since(began); took < confirmFor {
		t.Errorf("believed after %s", took)
	}
	if state := s.State(); state.Version != first || !state.Confirmed {
		t.Errorf("%+v", state)
	}
	s.Confirm(second) // what copies bear is known already
	if state := s.State(); !state.Confirmed {
		t.Errorf("%+v", state)
	}
	if v := w.holds(s, 1); string(v.Data["a"]) != "1" {
		t.Errorf("%v", v.Data)
	}
	// And the next version ends it.
	node.lags.Store(false)
	w.put("db", map[string]any{"a": "3"})
	w.holds(s, 3)
	if state := s.State(); state.Confirmed {
		t.Errorf("%+v", state)
	}
}

func TestANewValueAfterAPathWasRemovedCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.put("db", map[string]any{"a": "2"})
	s := w.source("db")
	w.holds(s, 2)
	_, err := w.vault.Client.Logical().Delete("secret/metadata/" + w.name + "/db")
	w.must(err)
	w.put("db", map[string]any{"a": "anew"})
	if v := w.holds(s, 1); string(v.Data["a"]) != "anew" || s.State().Confirmed {
		t.Errorf("%v %+v", v.Data, s.State())
	}
}
