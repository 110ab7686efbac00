package vault

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"secretsync/reconcile/fault"
)

func TestAValueIsReadOnceForAllWhoWantIt(t *testing.T) {
	t.Parallel()
	var proxy = new(proxyOf)
	w := newWorld(t, proxy.before, every(seldom))
	w.put("db", map[string]any{"a": "1", "n": 12})
	data := counted(proxy.Proxy, about("/data/"))
	s := w.source("db")
	requests := []*Request{s.Request(), s.Request(), s.Request()}
	for _, r := range requests {
		w.until("the value", func() bool { _, ok := r.Value(); return ok })
	}
	v, _ := requests[0].Value()
	if string(v.Data["a"]) != "1" || string(v.Data["n"]) != "12" || v.Size != 3 {
		t.Errorf("%v %d", v.Data, v.Size)
	}
	if n := data.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
	for _, r := range requests {
		if _, ok := r.Value(); !ok {
			t.Error("it was dropped while requests for it were held")
		}
		r.Release()
		r.Release()
	}
	// Its version may be being looked at once more, as it was asked for while it was read.
	w.until("nothing being held after the last release", s.nothingHeld)
}

func TestAPollFindsANewVersionAndAHeldRequestGetsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	r := s.Request()
	w.until("version 1", func() bool { v, ok := r.Value(); return ok && v.Number == 1 })
	w.put("db", map[string]any{"a": "2"})
	w.until("version 2", func() bool { v, ok := r.Value(); return ok && v.Number == 2 && string(v.Data["a"]) == "2" })
	if s.State().Version.Number != 2 {
		t.Errorf("%+v", s.State())
	}
	r.Release()
	w.put("db", map[string]any{"a": "3"})
	w.until("version 3", func() bool { return s.State().Version.Number == 3 })
	checked := s.State().Checked
	w.until("another poll", func() bool { return s.State().Checked.After(checked) })
	s.Close()
	if _, ok := s.Request().Value(); ok {
		t.Error("a closed source has a value")
	}
}

func TestWhatLiesAtAPathIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.source("db")
	s.Look()
	if f := w.fails(s, fault.ReasonValueNotFound); f.State != fault.Pending || f.Message != "no value at secret/"+w.name+"/db in the vault yet; write one, or mend secretPath" {
		t.Errorf("%+v", f)
	}
	w.put("db", map[string]any{"a": "1"})
	w.holds(s, 1)
	_, err := w.vault.Client.Logical().Delete("secret/data/" + w.name + "/db")
	w.must(err)
	w.fails(s, fault.ReasonValueDeleted)
	if v := s.State().Version.Number; v != 1 {
		t.Errorf("version %d", v)
	}
	_, err = w.vault.Client.Logical().Write("secret/undelete/"+w.name+"/db", map[string]any{"versions": []int{1}})
	w.must(err)
	w.holds(s, 1)
	w.put("db", map[string]any{"a/b": "1"})
	if v := w.holds(s, 2); string(v.Data["a/b"]) != "1" {
		t.Errorf("what a Secret can hold is not for the vault's room to say: %v", v.Data)
	}
	w.put("db", map[string]any{"a": "2"})
	w.holds(s, 3)
	_, err = w.vault.Client.Logical().Delete("secret/metadata/" + w.name + "/db")
	w.must(err)
	w.fails(s, fault.ReasonValueNotFound)
	if v := s.State().Version; !v.IsZero() {
		t.Errorf("version %v", v)
	}
	w.put("db", map[string]any{"a": "again"})
	if v := w.holds(s, 1); string(v.Data["a"]) != "again" {
		t.Errorf("%v", v.Data)
	}
}

func TestARefreshIsOverOnlyWithAReadThatBeganAfterIt(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, every(seldom))
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	w.holds(s, 1)
	data := counted(proxy.Proxy, about("/data/"))
	for range 5 {
		// A look at the metadata that is still under way would find the version
		// first, and its value would not be kept.
		w.rest(s)
		proxy.slow(200*time.Millisecond, 1)
		version := w.put("db", map[string]any{"a": "2"})
		s.Refresh()
		if !s.State().Asked {
			t.Fatal("it is not asked")
		}
		s.Refresh() // while the first is under way, most likely
		w.until("the end of it", func() bool { return !s.State().Asked })
		if got := s.State().Version.Number; got != version {
			t.Fatalf("version %d when %d had been asked for", got, version)
		}
		// The value that it found is still there: copying it costs no other read.
		before := data.Load()
		r := s.Request()
		if v, ok := r.Value(); !ok || v.Number != version {
			t.Errorf("the value is not there")
		}
		r.Release()
		if n := data.Load(); n != before {
			t.Errorf("%d reads for a value that had just been read", n-before)
		}
	}
}

func TestValuesThatNobodyTakesAreDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, every(seldom))
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	s.Refresh()
	w.until("the read", func() bool { return s.State().Known })
	w.until("its value being dropped", s.nothingHeld)
}

func (s *Source) nothingHeld() bool {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.b.values.bytes == 0 && s.w == nil
}

func TestValuesInMemoryAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, every(seldom))
	big := strings.Repeat("x", 900_000)
	var requests []*Request
	var sources []*Source
	for i := range 48 {
		path := fmt.Sprintf("db-%d", i)
		w.put(path, map[string]any{"a": big})
		sources = append(sources, w.source(path))
	}
	for _, s := range sources {
		requests = append(requests, s.Request())
	}
	left := make(map[*Request]bool)
	for _, r := range requests {
		left[r] = true
	}
	w.until("each having been there", func() bool {
		for r := range left {
			if _, ok := r.Value(); ok {
				delete(left, r)
				r.Release()
			}
		}
		w.b.mu.Lock()
		defer w.b.mu.Unlock()
		if w.b.values.bytes > valuesMost {
			t.Fatalf("%d bytes in memory", w.b.values.bytes)
		}
		return len(left) == 0
	})
	if w.b.values.bytes != 0 {
		t.Errorf("%d bytes at the end", w.b.values.bytes)
	}
}

func TestEachPathIsPolledOnceAnIntervalSpreadEvenly(t *testing.T) {
	t.Parallel()
	const paths, interval = 200, 5 * time.Second // so few a second that a slow machine keeps up with them
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, every(interval))
	var sources []*Source
	for i := range paths {
		path := fmt.Sprintf("db-%d", i)
		w.put(path, map[string]any{"a": "1"})
		s := w.source(path)
		s.Look()
		sources = append(sources, s)
	}
	var began time.Time
	w.until("all known, and no read overdue", func() bool {
		w.b.mu.Lock()
		defer w.b.mu.Unlock()
		for _, s := range sources {
			if !s.known || s.running || s.class != none {
				return false
			}
		}
		began = time.Now()
		return true
	})
	metadata := counted(proxy.Proxy, about("/metadata/"))
	w.until("four rounds", func() bool { return metadata.Load() >= 4*paths })
	if took := time.Since(began); took < 3*interval {
		t.Errorf("four rounds took %s: paths are polled more than once an interval", took)
	}
	for _, slot := range w.b.polls.slots {
		if len(slot) > 3 {
			t.Errorf("%d of %d paths in one of %d slots", len(slot), paths, len(w.b.polls.slots))
		}
	}
}

func TestWhatIsConfiguredAnewChangesAndNothingElse(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, withAppRole(time.Hour), every(seldom))
	w.put("db", map[string]any{"a": "1"})
	_, err := w.vault.PutSecret(w.ctx, "secret", w.name+"/other/db", map[string]any{"a": "other"})
	w.must(err)
	s := w.source("db")
	w.holds(s, 1)
	logins := counted(proxy.Proxy, about("/login"))

	w.b.Configure(w.cfg, 500*time.Millisecond, 0, 4)
	v := w.put("db", map[string]any{"a": "2"})
	w.until("the version by a poll", func() bool { return s.State().Version.Number == v })

	other := w.cfg
	other.Prefix += "/other"
	w.b.Configure(other, seldom, 0, 4)
	r := s.Request()
	w.until("the value of the other prefix", func() bool { v, ok := r.Value(); return ok && string(v.Data["a"]) == "other" })
	r.Release()
	if n := logins.Load(); n != 0 {
		t.Errorf("%d logins for changes that do not concern it", n)
	}

	other.AppRole, other.Token = nil, w.vault.RootToken
	w.b.Configure(other, seldom, 0, 4)
	w.until("the other token", func() bool {
		w.b.mu.Lock()
		defer w.b.mu.Unlock()
		return w.b.session.Token == w.vault.RootToken
	})
	other.Token = "hvs.wrong"
	w.b.Configure(other, seldom, 0, 4)
	w.down(fault.ReasonVaultForbidden)
	other.Token = w.vault.RootToken
	w.b.Configure(other, seldom, 0, 4)
	w.up()
	if n := w.lines("hvs."); n > 0 {
		t.Error("a token is in the log")
	}
}

func TestATokenIsSentToNoOtherAddress(t *testing.T) {
	t.Parallel()
	var first, second logins
	w := newWorld(t, second.before, first.before, withAppRole(time.Hour))
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	w.holds(s, 1)
	token := w.token()
	moved := w.cfg
	moved.Address = second.URL
	w.b.Configure(moved, time.Second, 0, 0)
	w.until("a login there", func() bool { now := w.token(); return now != "" && now != token })
	w.holds(s, 1)
	w.stop()
	second.mu.Lock()
	defer second.mu.Unlock()
	for _, request := range second.seen {
		if request.header.Get("X-Vault-Token") == token {
			t.Error("the token of the former address is sent to the new one")
		}
	}
	if _, err := w.vault.Client.Auth().Token().Lookup(token); err == nil {
		t.Error("it was not given back")
	}
}
