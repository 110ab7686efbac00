package apikey

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/durable"
)

// MaxStored is the greatest number of stored keys of one tenant.
const MaxStored = 1000

// Store holds the keys made through the API, one file each, hashes only. A
// key is stored, and a revoked one gone, before the call that did it returns,
// even if the power fails then. The folder is the one thing beside the
// repositories that can't be rebuilt: back it up.
type Store struct {
	dir string

	syncDir func(dir string) error // tests let it fail

	mu sync.Mutex // held while writing
	// unsettled: a key's file was removed, but a power cut may bring it back.
	unsettled bool
	keys      atomic.Pointer[map[string]*Key]
}

// storedKey is the content of a file.
type storedKey struct {
	ID          string    `json:"id"`
	Tenant      string    `json:"tenant"`
	Role        string    `json:"role"`
	DisplayName string    `json:"displayName"`
	Hash        string    `json:"hash"`
	CreatedBy   string    `json:"createdBy"`
	CreatorName string    `json:"creatorName,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
	ExpiresAt   time.Time `json:"expiresAt,omitzero"`
	ExpiresText string    `json:"expiresText,omitempty"`
}

const keyFileSuffix = ".json"

// OpenStore opens the store in a folder of its own, which it makes if need
// be. A file that is not a key as the store writes them is an error: to skip
// it would be to revoke a key in silence.
func OpenStore(dir string) (*Store, error) {
	// Drafts were left by a crash before their keys were answered.
	if err := errors.Join(durable.MkdirAll(dir), durable.RemoveDrafts(dir)); err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	keys := map[string]*Key{}
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		key, err := readKey(path)
		if err != nil {
			return nil, fmt.Errorf("key store: %s: %w; restore the file from a backup, or remove it to revoke the key", path, err)
		}
		keys[key.ID] = key
	}
	ks := &Store{dir: dir, syncDir: durable.SyncDir}
	ks.keys.Store(&keys)
	return ks, nil
}

func readKey(path string) (*Key, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var stored storedKey
	if err := json.Unmarshal(content, &stored); err != nil {
		return nil, err
	}
	key := Key{
		CreatedBy: stored.CreatedBy, CreatorName: stored.CreatorName, CreatedAt: stored.CreatedAt,
		ExpiresAt: stored.ExpiresAt, ExpiresText: stored.ExpiresText,
	}
	var errs [5]error
	key.ID, errs[0] = ParseID(stored.ID)
	key.Tenant, errs[1] = gitstore.ParseTenantName(stored.Tenant)
	key.Role, errs[2] = ParseRole(stored.Role)
	key.DisplayName, errs[3] = ParseDisplayName(stored.DisplayName)
	key.Hash, errs[4] = ParseHash(stored.Hash)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if filepath.Base(path) != key.ID+keyFileSuffix {
		return nil, fmt.Errorf("holds the key %s, which belongs into %s%s", key.ID, key.ID, keyFileSuffix)
	}
	return &key, nil
}

// Get finds a key. A nil store holds none.
func (ks *Store) Get(id string) *Key {
	if ks == nil {
		return nil
	}
	return (*ks.keys.Load())[id]
}

// Of returns a tenant's keys in no order.
func (ks *Store) Of(tenant gitstore.TenantName) []*Key {
	var found []*Key
	if ks == nil {
		return nil
	}
	for _, key := range *ks.keys.Load() {
		if key.Tenant == tenant {
			found = append(found, key)
		}
	}
	return found
}

// Add stores a key. It fails with [gitstore.ErrLimit] when the tenant has
// [MaxStored] and with [gitstore.ErrUnavailable] when the disk does.
func (ks *Store) Add(key Key) error {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if len(ks.Of(key.Tenant)) >= MaxStored {
		return fmt.Errorf("tenant %s has %d API keys, the most allowed; delete those no longer used: %w", key.Tenant, MaxStored, gitstore.ErrLimit)
	}
	content, err := json.MarshalIndent(storedKey{
		ID: key.ID, Tenant: key.Tenant.String(), Role: string(key.Role), DisplayName: key.DisplayName,
		Hash: key.Hash.String(), CreatedBy: key.CreatedBy, CreatorName: key.CreatorName, CreatedAt: key.CreatedAt,
		ExpiresAt: key.ExpiresAt, ExpiresText: key.ExpiresText,
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := ks.write(key.ID+keyFileSuffix, append(content, '\n')); err != nil {
		return unavailable(err)
	}
	keys := maps.Clone(*ks.keys.Load())
	keys[key.ID] = &key
	ks.keys.Store(&keys)
	return nil
}

// Remove revokes a tenant's key; false means there is none of that id.
func (ks *Store) Remove(tenant gitstore.TenantName, id string) (bool, error) {
	if ks == nil {
		return false, nil
	}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if err := ks.settle(); err != nil {
		return false, err
	}
	keys := *ks.keys.Load()
	if key, ok := keys[id]; !ok || key.Tenant != tenant {
		return false, nil
	}
	err := os.Remove(filepath.Join(ks.dir, id+keyFileSuffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, unavailable(err)
	}
	// The file is gone, so the key is too, whether that is durable or not.
	keys = maps.Clone(keys)
	delete(keys, id)
	ks.keys.Store(&keys)
	ks.unsettled = true
	return true, ks.settle()
}

// settle has on disk that revoked keys are gone, unless that is known. The
// request again, which finds no key, must not be answered before.
func (ks *Store) settle() error {
	if !ks.unsettled {
		return nil
	}
	if err := ks.syncDir(ks.dir); err != nil {
		return unavailable(fmt.Errorf("%w: %w", gitstore.ErrUnsettled, err))
	}
	ks.unsettled = false
	return nil
}

// write puts a file in place whole or not at all.
func (ks *Store) write(name string, content []byte) error {
	path := filepath.Join(ks.dir, name)
	if err := durable.Replace(path, content); err != nil {
		return err
	}
	if err := ks.syncDir(ks.dir); err != nil {
		// Nobody is given this key, so the next start must not load it.
		ks.unsettled = true
		if left := os.Remove(path); left != nil {
			return fmt.Errorf("%w: %w: %w", gitstore.ErrUnsettled, err, left)
		}
		return err
	}
	return nil
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("key store: %w: %w", gitstore.ErrUnavailable, err)
}

// ByAge sorts keys by when they were made, those of the configuration first.
func ByAge(keys []*Key) {
	slices.SortFunc(keys, func(a, b *Key) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}
