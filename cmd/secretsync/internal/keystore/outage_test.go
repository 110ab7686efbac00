package keystore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

// What stands in a Secret and is not wholly understood is never "no keys": those that
// were known go on, nothing is written, and no other tenant notices.
func TestASecretThatCantBeReadRevokesNothing(t *testing.T) {
	foreign, _ := apikey.Encode(newKey(t, "globex"))
	foreignKey, _ := apikey.Decode(foreignName(foreign), foreign)
	for name, tt := range map[string]struct{ patch, says string }{
		"a newer format":             {`{"metadata":{"annotations":{"secretsync.dev/format":"2"}}}`, "has format 2, and this version of secretsync knows none above 1: run the version that wrote it"},
		"no format":                  {`{"metadata":{"annotations":{"secretsync.dev/format":null}}}`, "has no annotation secretsync.dev/format: restore it from a backup"},
		"a format that is none":      {`{"metadata":{"annotations":{"secretsync.dev/format":"x"}}}`, "that is no number"},
		"an entry that is no key":    {`{"data":{"ak-abcd.json":"e30="}}`, `has an entry "ak-abcd.json" that is no key`},
		"an entry that is no JSON":   {`{"data":{"ak-abcd.json":"aHVudGVyMg=="}}`, `has an entry "ak-abcd.json" that is no key`},
		"an entry of another name":   {`{"data":{"notes":"e30="}}`, `has an entry "notes" that is no key`},
		"a key of another tenant":    {`{"stringData":{"` + foreignName(foreign) + `":` + quoted(foreign) + `}}`, "that is a key of tenant globex"},
		"a key under another's name": {`{"stringData":{"ak-abcd.json":` + quoted(foreign) + `}}`, "that is no key: holds the key " + foreignKey.ID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.open()
			key, neighbour := w.add(s, "acme"), w.add(s, "umbrella")
			before := w.get("secretsync-keys-acme")
			w.patch("secretsync-keys-acme", tt.patch)
			w.until("it is noticed", func() bool { return s.Unread() != nil })
			spoilt := w.get("secretsync-keys-acme").ResourceVersion
			for what, s := range map[string]*server{"a server that runs": s, "one that starts": w.open()} {
				if err := s.Unread(); err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%s says %v; want %q", what, err, tt.says)
				}
				if !strings.Contains(s.log.String(), "can't be read") {
					t.Errorf("%s logs nothing of it", what)
				}
				if _, err := s.Of(key.Tenant); !errors.Is(err, gitstore.ErrUnavailable) {
					t.Errorf("%s lists the keys: %v", what, err)
				}
				if err := s.Add(t.Context(), newKey(t, "acme")); !errors.Is(err, gitstore.ErrUnavailable) || errors.Is(err, apikey.ErrUnproven) {
					t.Errorf("%s makes a key there: %v", what, err)
				}
				if found, err := s.Remove(t.Context(), key.Tenant, key.ID); found || !errors.Is(err, gitstore.ErrUnavailable) {
					t.Errorf("%s revokes a key there: %v, %v", what, found, err)
				}
				if s.Get(neighbour.ID) == nil || s.Add(t.Context(), newKey(t, "umbrella")) != nil {
					t.Errorf("%s keeps it from another tenant", what)
				}
			}
			if s.Get(key.ID) == nil {
				t.Error("a key that was known is refused")
			}
			if now := w.get("secretsync-keys-acme").ResourceVersion; now != spoilt {
				t.Error("it was written to")
			}

			// Mended, all is as before.
			before.ResourceVersion = ""
			if _, err := w.admin.Update(t.Context(), before, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			w.until("it is read again", func() bool { return s.Unread() == nil })
			if found, err := s.Remove(t.Context(), key.Tenant, key.ID); !found || err != nil {
				t.Errorf("revoking after it was mended: %v, %v", found, err)
			}
		})
	}
}

func writes(r *http.Request) bool {
	return r.Method == http.MethodPost || r.Method == http.MethodPatch
}

func TestWhatBecomesOfAWriteWhoseAnswerIsLost(t *testing.T) {
	for name, tt := range map[string]struct {
		fault devstack.Fault
		kind  error // nil: it succeeds
		says  string
		there bool
	}{
		"it was made, and the answer was cut off": {devstack.Fault{Truncate: 10, Times: 1}, nil, "", true},
		"it did not arrive, or may still do so":   {devstack.Fault{Reset: true, Times: 1}, apikey.ErrUnproven, "does not answer", false},
		"it is not answered in time":              {devstack.Fault{Drop: true, Times: 1}, apikey.ErrUnproven, "does not answer", false},
		"something in between fails":              {devstack.Fault{Status: 502, Times: 1}, apikey.ErrUnproven, "fails (502)", false},
		"the API server is busy":                  {devstack.Fault{Status: 429, Times: 1}, gitstore.ErrUnavailable, "asks the server to wait", false},
		"credentials are refused":                 {devstack.Fault{Status: 401, Times: 1}, gitstore.ErrUnavailable, "does not accept the server's credentials", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // one of them waits
			w := newWorld(t)
			proxy, err := w.cluster.Proxy()
			if err != nil {
				t.Fatal(err)
			}
			timeout := patience
			if tt.fault.Drop {
				timeout = 6 * time.Second // which it waits three times, and which no other request may need
			}
			s := w.open(via(proxy, w, timeout))
			for _, what := range []string{"the first key", "another key", "revoking"} {
				var key apikey.Key
				if what == "revoking" {
					key = w.add(s, "acme")
				}
				tt.fault.Match = writes
				proxy.Inject(tt.fault)
				if what == "revoking" {
					_, err = s.Remove(t.Context(), key.Tenant, key.ID)
				} else {
					key = newKey(t, "acme")
					err = s.Add(t.Context(), key)
				}
				proxy.Clear()
				switch {
				case tt.kind == nil && err != nil:
					t.Errorf("%s: %v", what, err)
				case tt.kind != nil && (!errors.Is(err, tt.kind) || !errors.Is(err, gitstore.ErrUnavailable) || !strings.Contains(err.Error(), tt.says)):
					t.Errorf("%s: %v; want %v and %q", what, err, tt.kind, tt.says)
				case tt.kind == gitstore.ErrUnavailable && errors.Is(err, apikey.ErrUnproven):
					t.Errorf("%s: %v, though it is known", what, err)
				}
				want := tt.there != (what == "revoking")
				if got := s.Get(key.ID) != nil; got != want {
					t.Errorf("%s: the key is known: %v", what, got)
				}
				if _, stands := w.data("secretsync-keys-acme")[apikey.StoredName(key.ID)]; stands != want {
					t.Errorf("%s: the key is stored: %v", what, stands)
				}
			}
		})
	}
}

// data are those of a Secret that may not be there.
func (w *world) data(name string) map[string][]byte {
	s, err := w.admin.Get(w.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return s.Data
}

// While the API server can't be reached keys that are known go on, and none is made; what
// others did meanwhile is known as soon as it is back.
func TestAnOutageOfTheAPIServer(t *testing.T) {
	w := newWorld(t)
	proxy, err := w.cluster.Proxy()
	if err != nil {
		t.Fatal(err)
	}
	cut, whole := w.open(via(proxy, w, patience)), w.open()
	kept, revoked, gone := w.add(cut, "acme"), w.add(cut, "acme"), w.add(cut, "globex")
	proxy.Inject(devstack.Fault{Status: 503})
	proxy.Disconnect()
	w.until("it is told", func() bool { return strings.Contains(cut.log.String(), "are not followed") })
	if cut.Get(kept.ID) == nil {
		t.Error("a key that is known is refused")
	}
	if err := cut.Add(t.Context(), newKey(t, "acme")); !errors.Is(err, gitstore.ErrUnavailable) {
		t.Errorf("a key is made: %v", err)
	}
	w.until("the other server knows it", func() bool { return whole.Get(revoked.ID) != nil })
	if _, err := whole.Remove(t.Context(), revoked.Tenant, revoked.ID); err != nil {
		t.Error(err)
	}
	made := w.add(whole, "umbrella")
	if err := w.admin.Delete(t.Context(), "secretsync-keys-globex", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	proxy.Clear()
	w.until("all is known", func() bool {
		// The log tells when the watch is up, which is after all was listed.
		return cut.Get(revoked.ID) == nil && cut.Get(gone.ID) == nil && cut.Get(made.ID) != nil && cut.Get(kept.ID) != nil &&
			strings.Contains(cut.log.String(), "followed again")
	})
	if strings.Count(cut.log.String(), "are not followed") != 1 {
		t.Errorf("the log:\n%s", cut.log)
	}
}

// getsCounted counts the Secrets that are read one by one.
type getsCounted struct {
	Secrets
	gets atomic.Int64
}

func (c *getsCounted) Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Secret, error) {
	c.gets.Add(1)
	return c.Secrets.Get(ctx, name, o)
}

// Whoever takes a tenant over knows its keys before the watch tells.
func TestATenantThatIsTakenOverIsReadAnew(t *testing.T) {
	for name, others := range map[string]int{"with few": 1, "with many, from a listing": 2 * getters} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			before := w.open()
			key, doomed, kept := w.add(before, "acme"), w.add(before, "globex"), w.add(before, "initech")
			secrets := &getsCounted{Secrets: w.secrets(w.cluster.Config)}
			after, err := Open(t.Context(), Config{Secrets: secrets}) // follows nothing
			if err != nil {
				t.Fatal(err)
			}
			if _, err := before.Remove(t.Context(), key.Tenant, key.ID); err != nil {
				t.Fatal(err)
			}
			made := w.add(before, "umbrella")
			if err := w.admin.Delete(t.Context(), "secretsync-keys-globex", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if after.Get(key.ID) == nil {
				t.Fatal("the test proves nothing")
			}
			taken := []gitstore.TenantName{key.Tenant, doomed.Tenant, made.Tenant}
			for i := range others {
				taken = append(taken, mustTenant(t, fmt.Sprintf("nobody-%d", i)))
			}
			if err := after.Refresh(t.Context(), taken...); err != nil {
				t.Fatal(err)
			}
			if after.Get(key.ID) != nil || after.Get(doomed.ID) != nil || after.Get(made.ID) == nil || after.Get(kept.ID) == nil {
				t.Error("the keys are those from before")
			}
			if gets, listed := secrets.gets.Load(), len(taken) > getters; listed != (gets == 0) {
				t.Errorf("%d tenants were read by %d requests for one Secret each", len(taken), gets)
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := after.Refresh(ended, taken...); err == nil {
				t.Error("it says that it read them when it did not")
			}
		})
	}
}
