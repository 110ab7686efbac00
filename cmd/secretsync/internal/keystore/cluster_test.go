package keystore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

func TestMain(m *testing.M) { os.Exit(m.Run()) }

func TestAKeyIsKnownToAllServersAndTheNext(t *testing.T) {
	w := newWorld(t)
	one, other := w.open(), w.open()
	key := w.add(one, "acme")
	kept := w.add(one, "acme")
	if one.Get(key.ID) == nil {
		t.Error("who made a key does not know it")
	}
	w.until("the other server knows both", func() bool { return other.Get(key.ID) != nil && other.Get(kept.ID) != nil })
	if found, err := other.Remove(t.Context(), mustTenant(t, "globex"), key.ID); found || err != nil {
		t.Errorf("another tenant's key: found %v, %v", found, err)
	}
	if found, err := other.Remove(t.Context(), key.Tenant, key.ID); !found || err != nil {
		t.Errorf("revoking: %v, %v", found, err)
	}
	if other.Get(key.ID) != nil {
		t.Error("who revoked a key lets it in")
	}
	w.until("the first server refuses it", func() bool { return one.Get(key.ID) == nil })
	if found, err := one.Remove(t.Context(), key.Tenant, key.ID); found || err != nil {
		t.Errorf("revoked once more: found %v, %v", found, err)
	}

	next := w.open()
	if diff := cmp.Diff(&kept, next.Get(kept.ID), cmp.Comparer(func(a, b gitstore.TenantName) bool { return a == b })); diff != "" {
		t.Error("at the next start:", diff)
	}
	if keys, err := next.Of(kept.Tenant); len(keys) != 1 || err != nil || next.Unread() != nil {
		t.Errorf("%d keys at the next start: %v, %v", len(keys), err, next.Unread())
	}

	// It is the one entry, in the form of a file, and what others put beside it stays.
	w.patch("secretsync-keys-acme", `{"metadata":{"labels":{"backup":"daily"}}}`)
	w.until("they are told", func() bool { return w.get("secretsync-keys-acme").Labels["backup"] != "" })
	w.add(one, "acme")
	s := w.get("secretsync-keys-acme")
	content, err := apikey.Encode(kept)
	if err != nil || string(s.Data[apikey.StoredName(kept.ID)]) != string(content) || len(s.Data) != 2 || s.Labels["backup"] != "daily" || s.Annotations[annotationFormat] != "1" {
		t.Errorf("the Secret is %+v %v with %d entries", s.ObjectMeta, s.Type, len(s.Data))
	}
	if text := fmt.Sprintf("%s", s.Data); strings.Contains(text, apikey.TokenPrefix) {
		t.Error("the Secret holds a key itself")
	}
}

// Two servers make and revoke keys of the same tenants, many at a time: each that was
// answered is there, or gone, at both and at a third.
func TestServersThatRaceLoseNothing(t *testing.T) {
	w := newWorld(t)
	servers := []*server{w.open(), w.open()}
	tenants := []string{"acme", "globex"}
	var mu sync.Mutex
	want := map[string]bool{} // id → there
	var racers sync.WaitGroup
	for i := range 24 {
		racers.Go(func() {
			s, random := servers[i%2], rand.New(rand.NewPCG(uint64(i), 1))
			for range 6 {
				key := newKey(t, tenants[i/2%2])
				if err := s.Add(t.Context(), key); err != nil {
					t.Error(err)
					return
				}
				there := random.IntN(3) > 0
				if !there {
					if found, err := s.Remove(t.Context(), key.Tenant, key.ID); !found || err != nil {
						t.Errorf("revoking: %v, %v", found, err)
						return
					}
				}
				if (s.Get(key.ID) != nil) != there {
					t.Errorf("a key whose end was answered is there: %v", !there)
				}
				mu.Lock()
				want[key.ID] = there
				mu.Unlock()
			}
		})
	}
	racers.Wait()
	third := w.open()
	for id, there := range want {
		if (third.Get(id) != nil) != there {
			t.Errorf("%s is there for a server that starts: %v", id, !there)
		}
		w.until("both know it as it is", func() bool {
			return (servers[0].Get(id) != nil) == there && (servers[1].Get(id) != nil) == there
		})
	}
}

func TestTheHashKeyIsThatOfWhoeverIsFirst(t *testing.T) {
	w := newWorld(t)
	keys := make([][]byte, 8)
	var racers sync.WaitGroup
	for i := range keys {
		racers.Go(func() {
			var err error
			if keys[i], err = ClusterHashKey(t.Context(), w.secrets(w.cluster.Config)); err != nil {
				t.Error(err)
			}
		})
	}
	racers.Wait()
	for _, key := range keys {
		if len(key) != hashKeySize || string(key) != string(keys[0]) {
			t.Errorf("a server has a key of its own, of %d bytes", len(key))
		}
	}
	s := w.get(hashKeyName)
	if s.Immutable == nil || !*s.Immutable || s.Annotations[annotationFormat] != "1" {
		t.Errorf("the Secret can be changed: %+v", s.ObjectMeta)
	}
}

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

func foreignName(content []byte) string {
	_, rest, _ := strings.Cut(string(content), `"id": "`)
	id, _, _ := strings.Cut(rest, `"`)
	return apikey.StoredName(id)
}

func quoted(content []byte) string {
	return `"` + strings.NewReplacer("\n", `\n`, `"`, `\"`).Replace(string(content)) + `"`
}

func TestASecretOfSomebodyElseWithTheNameIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"secretsync-keys-acme", hashKeyName} {
		if _, err := w.admin.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"a": "b"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s := w.open()
	if err := s.Add(t.Context(), newKey(t, "acme")); !errors.Is(err, gitstore.ErrUnavailable) || !strings.Contains(err.Error(), `is of type "Opaque"`) {
		t.Errorf("a key is made: %v", err)
	}
	if _, err := ClusterHashKey(t.Context(), w.secrets(w.cluster.Config)); err == nil || !strings.Contains(err.Error(), `is of type "Opaque"`) || errors.Is(err, gitstore.ErrUnavailable) {
		t.Errorf("the hash key: %v", err)
	}
	if w.add(s, "globex"); w.get("secretsync-keys-acme").Data["a"] == nil {
		t.Error("it was written to")
	}
}

// Who deletes a Secret revokes its keys, and it is told. A key that is made then makes
// another one.
func TestASecretThatIsDeletedRevokesItsKeys(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	key := w.add(s, "acme")
	if err := w.admin.Delete(t.Context(), "secretsync-keys-acme", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	again := w.add(s, "acme") // perhaps before the watch tells
	w.until("the key is refused", func() bool { return s.Get(key.ID) == nil })
	if s.Get(again.ID) == nil || !strings.Contains(s.log.String(), "was deleted by somebody") {
		t.Errorf("the new key is there: %v; the log:\n%s", s.Get(again.ID) != nil, s.log)
	}
}

// A server that does nothing with the tenant learns it from the watch alone.
func TestASecretThatIsDeletedIsNoticedByTheWatch(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	key := w.add(s, "acme")
	if err := w.admin.Delete(t.Context(), "secretsync-keys-acme", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until("the key is refused", func() bool { return s.Get(key.ID) == nil })
}

// News that comes late, of a state from before our own write, brings no key back.
func TestNewsFromBeforeAWriteOfOurOwnIsNoNews(t *testing.T) {
	w := newWorld(t)
	s, err := Open(t.Context(), Config{Secrets: w.secrets(w.cluster.Config)}) // follows nothing
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t, "acme")
	if err := s.Add(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	before := w.get("secretsync-keys-acme")
	if _, err := s.Remove(t.Context(), key.Tenant, key.ID); err != nil {
		t.Fatal(err)
	}
	s.take(before)
	if s.Get(key.ID) != nil {
		t.Error("a late event of the watch brings a revoked key back")
	}

	// A listing that was answered before the key was revoked, and is taken in after it.
	again := newKey(t, "acme")
	if err := s.Add(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	s.secrets = &afterList{s.secrets, func() {
		if _, err := s.Remove(t.Context(), again.Tenant, again.ID); err != nil {
			t.Error(err)
		}
	}}
	if err := s.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Get(again.ID) != nil {
		t.Error("a listing from before brings a revoked key back")
	}
}

// afterList does something when a listing was answered.
type afterList struct {
	Secrets
	do func()
}

func (l *afterList) List(ctx context.Context, o metav1.ListOptions) (*corev1.SecretList, error) {
	list, err := l.Secrets.List(ctx, o)
	l.do()
	return list, err
}

func TestATenantHasRoomForAllItsKeys(t *testing.T) {
	tenant := strings.Repeat("t", 63)
	fill := func(name string) (*corev1.Secret, int) {
		s := newSecret(keysPrefix+tenant, typeOfKeys)
		s.Data = map[string][]byte{}
		size := 0
		for range apikey.MaxStored {
			key := newKey(t, tenant)
			key.DisplayName, key.CreatorName, key.CreatedBy = name, name, key.ID
			key.ExpiresAt, key.ExpiresText = key.CreatedAt, "2030-01-01T00:00:00.000000000+00:00"
			content, err := apikey.Encode(key)
			if err != nil {
				t.Fatal(err)
			}
			s.Data[apikey.StoredName(key.ID)] = content
			size += len(content)
		}
		return s, size
	}
	if _, size := fill(strings.Repeat("n", 100)); size > maxSize {
		t.Errorf("%d keys with names of 100 letters take %d bytes; a Secret holds %d", apikey.MaxStored, size, maxSize)
	}

	// Of the strangest names there is not: the last is refused in words.
	w := newWorld(t)
	s, size := fill(strings.Repeat("\U0001F511", 100))
	for name := range s.Data {
		if size <= maxSize {
			break
		}
		size -= len(s.Data[name])
		delete(s.Data, name)
	}
	t.Logf("%d keys with the strangest names fit", len(s.Data))
	if _, err := w.admin.Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	full := w.open()
	if full.Unread() != nil {
		t.Fatal(full.Unread())
	}
	key := newKey(t, tenant)
	key.DisplayName, key.CreatorName = strings.Repeat("\U0001F511", 100), strings.Repeat("\U0001F511", 100)
	if err := full.Add(t.Context(), key); !errors.Is(err, gitstore.ErrLimit) || !strings.Contains(err.Error(), "more than a Secret may hold") {
		t.Errorf("a key too many: %v", err)
	}
}

// A change is decided by what stands there when it is made, and not by what a server knew.
func TestTwoServersCantPassTheLimitTogether(t *testing.T) {
	w := newWorld(t)
	s := newSecret("secretsync-keys-acme", typeOfKeys)
	s.Data = map[string][]byte{}
	for range apikey.MaxStored - 1 {
		key := newKey(t, "acme")
		content, err := apikey.Encode(key)
		if err != nil {
			t.Fatal(err)
		}
		s.Data[apikey.StoredName(key.ID)] = content
	}
	if _, err := w.admin.Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var servers [2]*Cluster // which follow nothing
	for i := range servers {
		var err error
		if servers[i], err = Open(t.Context(), Config{Secrets: w.secrets(w.cluster.Config)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := servers[0].Add(t.Context(), newKey(t, "acme")); err != nil {
		t.Error(err)
	}
	if err := servers[1].Add(t.Context(), newKey(t, "acme")); !errors.Is(err, gitstore.ErrLimit) {
		t.Errorf("the one key too many: %v", err)
	}
}

// Rights that are missing are told in words, by which somebody can give them.
func TestMissingRightsAreTold(t *testing.T) {
	w := newWorld(t)
	_, nobody, err := w.cluster.NewUser("nobody-" + w.namespace)
	if err != nil {
		t.Fatal(err)
	}
	want := func(err error, words string) {
		t.Helper()
		if !errors.Is(err, gitstore.ErrUnavailable) || errors.Is(err, apikey.ErrUnproven) || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v; want %q", err, words)
		}
	}
	_, err = Open(t.Context(), Config{Secrets: w.secrets(nobody)})
	want(err, "does not let the server list Secrets in its home namespace: its role there needs get, list, watch, create and patch on secrets")
	_, err = ClusterHashKey(t.Context(), w.secrets(nobody))
	want(err, "does not let the server get Secrets")

	_, reader, err := w.cluster.NewUser("reader-" + w.namespace)
	if err != nil {
		t.Fatal(err)
	}
	w.grant("reader-"+w.namespace, "get", "list", "watch")
	s := w.open(func(c *Config) { c.Secrets = w.secrets(reader) })
	want(s.Add(t.Context(), newKey(t, "acme")), "does not let the server create Secrets")

	missing, err := Open(t.Context(), Config{Secrets: w.cluster.Admin.CoreV1().Secrets("nowhere")})
	if err != nil {
		t.Fatal(err)
	}
	want(missing.Add(t.Context(), newKey(t, "acme")), "the home namespace is not there")
}

// grant lets a user do so with Secrets of the namespace.
func (w *world) grant(user string, verbs ...string) {
	w.Helper()
	rbac := w.cluster.Admin.RbacV1()
	_, err := rbac.Roles(w.namespace).Create(w.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: verbs}},
	}, metav1.CreateOptions{})
	if err == nil {
		_, err = rbac.RoleBindings(w.namespace).Create(w.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: user}},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		w.Fatal(err)
	}
}

// The least rights that the documents name suffice for everything.
func TestTheRightsThatAreNamedSuffice(t *testing.T) {
	w := newWorld(t)
	_, user, err := w.cluster.NewUser("least-" + w.namespace)
	if err != nil {
		t.Fatal(err)
	}
	w.grant("least-"+w.namespace, "get", "list", "watch", "create", "patch")
	secrets := w.secrets(user)
	if _, err := ClusterHashKey(t.Context(), secrets); err != nil {
		t.Error(err)
	}
	s := w.open(func(c *Config) { c.Secrets = secrets })
	first, second := w.add(s, "acme"), w.add(s, "acme")
	if found, err := s.Remove(t.Context(), first.Tenant, first.ID); !found || err != nil {
		t.Errorf("revoking: %v, %v", found, err)
	}
	w.add(w.open(), "acme")
	w.until("it follows", func() bool { keys, _ := s.Of(second.Tenant); return len(keys) == 2 })
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
			w := newWorld(t)
			proxy, err := w.cluster.Proxy()
			if err != nil {
				t.Fatal(err)
			}
			s := w.open(via(proxy, w))
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
	cut, whole := w.open(via(proxy, w)), w.open()
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
		return cut.Get(revoked.ID) == nil && cut.Get(gone.ID) == nil && cut.Get(made.ID) != nil && cut.Get(kept.ID) != nil
	})
	if !strings.Contains(cut.log.String(), "followed again") || strings.Count(cut.log.String(), "are not followed") != 1 {
		t.Errorf("the log:\n%s", cut.log)
	}
}

// Whoever takes a tenant over knows its keys before the watch tells.
func TestATenantThatIsTakenOverIsReadAnew(t *testing.T) {
	w := newWorld(t)
	before := w.open()
	key, doomed := w.add(before, "acme"), w.add(before, "globex")
	after, err := Open(t.Context(), Config{Secrets: w.secrets(w.cluster.Config)}) // follows nothing
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
	if err := after.Refresh(t.Context(), key.Tenant, doomed.Tenant, made.Tenant, mustTenant(t, "nobody")); err != nil {
		t.Fatal(err)
	}
	if after.Get(key.ID) != nil || after.Get(doomed.ID) != nil || after.Get(made.ID) == nil {
		t.Error("the keys are those from before")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := after.Refresh(ended, key.Tenant); err == nil {
		t.Error("it says that it read them when it did not")
	}
}

func FuzzParse(f *testing.F) {
	content, _ := apikey.Encode(newKey(f, "acme"))
	f.Add(foreignName(content), content, "1")
	f.Add("ak-abcd.json", []byte("{}"), "1")
	f.Add("", []byte("null"), "2")
	acme := mustTenant(f, "acme")
	f.Fuzz(func(t *testing.T, name string, content []byte, form string) {
		s := newSecret(nameOf(acme), typeOfKeys)
		s.Annotations[annotationFormat] = form
		s.Data = map[string][]byte{name: content}
		keys, size, err := parse(acme, s)
		if err != nil {
			if keys != nil || !strings.Contains(err.Error(), s.Name) {
				t.Fatalf("%d keys and %v", len(keys), err)
			}
			return
		}
		for id, key := range keys {
			again, err := apikey.Encode(*key)
			if err != nil || apikey.StoredName(id) != name || key.Tenant != acme || size != len(content) {
				t.Fatalf("%s is %+v, %v", name, key, err)
			}
			if same, err := apikey.Decode(name, again); err != nil || !same.ExpiresAt.Equal(key.ExpiresAt) || same.Hash != key.Hash {
				t.Fatalf("it is another key when it is written again: %v", err)
			}
		}
		if len(keys) != 1 {
			t.Fatalf("an entry is left out in silence: %q", name)
		}
	})
}
