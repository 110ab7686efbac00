package keystore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/httpapi/apikey"
)

var theDay = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// mover is a data folder beside a home namespace.
type mover struct {
	*world
	dir string
}

func newMover(t *testing.T) *mover { return &mover{newWorld(t), t.TempDir()} }

func (m *mover) move(toFolder bool) (Moved, error) {
	m.Helper()
	return m.moveBy(m.secrets(m.cluster.Config), toFolder)
}

func (m *mover) moveBy(secrets Secrets, toFolder bool) (Moved, error) {
	return Move{Folder: m.dir, Secrets: secrets, Namespace: m.namespace, ToFolder: toFolder, Now: func() time.Time { return theDay }}.Run(m.Context())
}

func (m *mover) must(toFolder bool) Moved {
	m.Helper()
	moved, err := m.move(toFolder)
	if err != nil {
		m.Fatal(err)
	}
	return moved
}

// fill makes a hash key, and keys of some tenants, in the folder.
func (m *mover) fill(tenants ...string) (hash []byte, keys map[string]*apikey.Key) {
	m.Helper()
	hash, err := FolderHashKey(m.dir)
	if err != nil {
		m.Fatal(err)
	}
	store, err := apikey.OpenStore(filepath.Join(m.dir, "keys"))
	if err != nil {
		m.Fatal(err)
	}
	keys = map[string]*apikey.Key{}
	for _, tenant := range tenants {
		for range 2 {
			key := newKey(m, tenant)
			if err := store.Add(m.Context(), key); err != nil {
				m.Fatal(err)
			}
			keys[key.ID] = &key
		}
	}
	return hash, keys
}

// cluster opens the Secrets as a server does.
func (m *mover) serverOfSecrets() (hash []byte, c *Cluster, err error) {
	secrets := m.secrets(m.cluster.Config)
	if c, err = Open(m.Context(), Config{Secrets: secrets}); err == nil {
		hash, err = ClusterHashKey(m.Context(), secrets)
	}
	return hash, c, err
}

func TestKeysMoveToTheClusterAndBack(t *testing.T) {
	m := newMover(t)
	hash, keys := m.fill("acme", "globex")
	moved := m.must(false)
	if moved.Keys != 4 || moved.Tenants != 2 || !moved.HashKey || moved.Before || len(moved.Left) != 2 {
		t.Errorf("it says %+v", moved)
	}
	stands, c, err := m.serverOfSecrets()
	if err != nil || string(stands) != string(hash) || !maps.EqualFunc(c.byID, keys, equal) {
		t.Errorf("in the Secrets are %d keys of %d, and the hash key is the same: %v; %v", len(c.byID), len(keys), string(stands) == string(hash), err)
	}

	// What was left behind is used by nobody, and says what to do.
	_, err = apikey.OpenStore(filepath.Join(m.dir, "keys"))
	if left, ok := errors.AsType[*apikey.MovedError](err); !ok || !left.At.Equal(theDay) || !strings.Contains(err.Error(), "were moved to the Secrets of namespace "+m.namespace+" at 2030-01-02T03:04:05Z: set keys.store in the configuration") {
		t.Errorf("the folder opens: %v", err)
	}
	if again := m.must(false); !again.Before {
		t.Errorf("once more: %+v", again)
	}

	// Back, with one revoked and one made meanwhile: a file of the revoked one lies there.
	var revoked, made apikey.Key
	for _, key := range keys {
		revoked = *key
	}
	if _, err := c.Remove(t.Context(), revoked.Tenant, revoked.ID); err != nil {
		t.Fatal(err)
	}
	made = newKey(t, "acme")
	if err := c.Add(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(m.dir, "keys", apikey.StoredName(revoked.ID))
	if _, err := m.move(true); err == nil || !strings.Contains(err.Error(), revoked.ID) || !strings.Contains(err.Error(), "would be good again") || !strings.Contains(err.Error(), "rm "+file) {
		t.Fatalf("a revoked key comes back to life: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	running := m.open()
	if moved := m.must(true); moved.Keys != 4 || moved.Before {
		t.Errorf("it says %+v", moved)
	}
	store, err := apikey.OpenStore(filepath.Join(m.dir, "keys"))
	if err != nil || store.Get(made.ID) == nil || store.Get(revoked.ID) != nil || len(store.All()) != 4 {
		t.Errorf("back in the folder: %v", err)
	}
	if stands, err := FolderHashKey(m.dir); err != nil || string(stands) != string(hash) {
		t.Errorf("the hash key is another one: %v", err)
	}
	if _, _, err := m.serverOfSecrets(); err == nil || !strings.Contains(err.Error(), "were moved to the data folder at 2030-01-02T03:04:05Z") {
		t.Errorf("a server starts with what was left behind: %v", err)
	}
	m.until("a server that runs makes no key any more", func() bool {
		err := running.Add(t.Context(), newKey(t, "acme"))
		return err != nil && strings.Contains(err.Error(), "has moved the keys elsewhere")
	})
}

// A move that fails at any of its requests leaves nothing that another one does not
// finish, whichever way it goes.
func TestAMoveThatEndsInItsMidstIsFinishedByTheNext(t *testing.T) {
	for _, toFolder := range []bool{false, true} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("to the folder: %v, and the last request is made: %v", toFolder, lost), func(t *testing.T) {
				t.Parallel()
				for after := 0; ; after++ {
					m := newMover(t)
					hash, keys := m.fill("acme", "globex", "umbrella")
					if toFolder {
						m.must(false)
					}
					_, err := m.moveBy(&failing{m.secrets(m.cluster.Config), after, lost}, toFolder)
					whole := err == nil
					if moved, err := m.move(toFolder); err != nil || moved.Before != whole {
						t.Fatalf("after %d requests: %+v, %v", after, moved, err)
					}
					if toFolder {
						store, err := apikey.OpenStore(filepath.Join(m.dir, "keys"))
						if err != nil || len(store.All()) != len(keys) {
							t.Fatalf("after %d requests: %v", after, err)
						}
					} else if stands, c, err := m.serverOfSecrets(); err != nil || string(stands) != string(hash) || !maps.EqualFunc(c.byID, keys, equal) {
						t.Fatalf("after %d requests: %v", after, err)
					}
					if whole {
						t.Logf("%d requests", after)
						return
					}
				}
			})
		}
	}
}

// failing fails all requests but the first; the last of those that it makes may have
// been made all the same.
type failing struct {
	Secrets
	left int
	lost bool
}

func (f *failing) take() (made bool, err error) {
	if f.left--; f.left >= 0 {
		return true, nil
	}
	return f.lost && f.left == -1, errors.New("killed")
}

func (f *failing) Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Secret, error) {
	if _, err := f.take(); err != nil {
		return nil, err
	}
	return f.Secrets.Get(ctx, name, o)
}

func (f *failing) List(ctx context.Context, o metav1.ListOptions) (*corev1.SecretList, error) {
	if _, err := f.take(); err != nil {
		return nil, err
	}
	return f.Secrets.List(ctx, o)
}

func (f *failing) Create(ctx context.Context, s *corev1.Secret, o metav1.CreateOptions) (*corev1.Secret, error) {
	made, killed := f.take()
	if !made {
		return nil, killed
	}
	s, err := f.Secrets.Create(ctx, s, o)
	return s, errors.Join(killed, err)
}

func (f *failing) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions, _ ...string) (*corev1.Secret, error) {
	made, killed := f.take()
	if !made {
		return nil, killed
	}
	s, err := f.Secrets.Patch(ctx, name, kind, patch, o)
	return s, errors.Join(killed, err)
}

func TestWhatAMoveRefuses(t *testing.T) {
	another := func(key *apikey.Key) []byte {
		changed := *key
		changed.DisplayName = "Eve"
		content, _ := apikey.Encode(changed)
		return content
	}
	for name, tt := range map[string]struct {
		prepare func(m *mover, keys map[string]*apikey.Key)
		want    []string
	}{
		"nothing to move": {func(m *mover, _ map[string]*apikey.Key) { m.dir = m.TempDir() }, []string{"there is nothing to move in the data folder", "is it the right place?"}},
		"a key of the same id that is another": {func(m *mover, keys map[string]*apikey.Key) {
			for _, key := range keys {
				s := newSecret(nameOf(key.Tenant), typeOfKeys)
				s.Data = map[string][]byte{apikey.StoredName(key.ID): another(key)}
				if _, err := m.admin.Create(m.Context(), s, metav1.CreateOptions{}); err != nil {
					m.Fatal(err)
				}
				return
			}
		}, []string{"1 API keys (ak-", "are others than those of the same ids", "kubectl patch secret secretsync-keys-acme -n home-"}},
		"keys that only the target has": {func(m *mover, _ map[string]*apikey.Key) { m.add(m.open(), "umbrella") }, []string{"1 API keys (ak-", " of umbrella) stand in the Secrets", "would be good again", "kubectl patch secret secretsync-keys-umbrella"}},
		"another hash key": {func(m *mover, _ map[string]*apikey.Key) {
			if _, err := ClusterHashKey(m.Context(), m.secrets(m.cluster.Config)); err != nil {
				m.Fatal(err)
			}
		}, []string{"the hash key in the Secrets of namespace home-", "is another one", "kubectl delete secret -n home-"}},
		"a target that can't be read": {func(m *mover, _ map[string]*apikey.Key) {
			s := newSecret("secretsync-keys-acme", typeOfKeys)
			s.Annotations[annotationFormat] = "2"
			if _, err := m.admin.Create(m.Context(), s, metav1.CreateOptions{}); err != nil {
				m.Fatal(err)
			}
		}, []string{"has format 2"}},
		"a note of an earlier move that a newer version wrote": {func(m *mover, _ map[string]*apikey.Key) {
			s := newSecret(markName, typeOfKeys)
			s.Annotations[annotationFormat], s.Annotations[annotationMoved] = "2", "elsewhere"
			if _, err := m.admin.Create(m.Context(), s, metav1.CreateOptions{}); err != nil {
				m.Fatal(err)
			}
		}, []string{"the Secret secretsync-moved has format 2", "run the version that wrote it"}},
		"somebody else's Secret under the name of that note": {func(m *mover, _ map[string]*apikey.Key) {
			if _, err := m.admin.Create(m.Context(), newSecret(markName, "Opaque"), metav1.CreateOptions{}); err != nil {
				m.Fatal(err)
			}
		}, []string{`the Secret secretsync-moved is of type "Opaque"`, "rename or delete that"}},
		"a source that can't be read": {func(m *mover, _ map[string]*apikey.Key) {
			if err := os.WriteFile(filepath.Join(m.dir, "keys", "ak-abcd.json"), []byte("{}"), 0o600); err != nil {
				m.Fatal(err)
			}
		}, []string{"ak-abcd.json", "restore the file from a backup"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMover(t)
			_, keys := m.fill("acme")
			tt.prepare(m, keys)
			_, err := m.move(false)
			if err == nil {
				t.Fatal("it is moved")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("it says %q; want %q", err, want)
				}
			}
			if _, err := apikey.OpenStore(filepath.Join(m.dir, "keys")); err != nil && !strings.Contains(err.Error(), "ak-abcd") {
				t.Errorf("the source is no good any more: %v", err)
			}
		})
	}
}

// A server that goes on with the source while keys are moved makes the move fail.
func TestAKeyThatIsMadeDuringTheMoveIsNotLost(t *testing.T) {
	m := newMover(t)
	m.fill("acme")
	m.must(false)
	_, c, err := m.serverOfSecrets()
	if err != nil {
		t.Fatal(err)
	}
	late := newKey(t, "acme")
	lists := 0
	during := &onList{m.secrets(m.cluster.Config), func() {
		if lists++; lists == 2 { // after all was read, before it is read back
			if err := c.Add(t.Context(), late); err != nil {
				t.Error(err)
			}
		}
	}}
	if _, err := m.moveBy(during, true); err == nil || !strings.Contains(err.Error(), "were made or revoked meanwhile: stop the servers") {
		t.Errorf("it is moved: %v", err)
	}
	if moved := m.must(true); moved.Keys != 3 {
		t.Errorf("then it says %+v", moved)
	}
}

type onList struct {
	Secrets
	do func()
}

func (l *onList) List(ctx context.Context, o metav1.ListOptions) (*corev1.SecretList, error) {
	l.do()
	return l.Secrets.List(ctx, o)
}
