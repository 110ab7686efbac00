package keystore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
