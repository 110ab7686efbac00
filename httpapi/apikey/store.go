package apikey

import (
	"context"
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

	"secretsync/gitstore"
	"secretsync/gitstore/durable"
)

// MaxStored is the greatest number of stored keys of one tenant.
const MaxStored = 1000

// Store holds the keys made through the API in a folder, one file each, hashes only. A
// key is stored, and a revoked one gone, before the call that did it returns,
// even if the power fails then. The folder is the one thing beside the
// repositories that can't be rebuilt: back it up.
type Store struct {
	dir   string
	moved *MovedError // only who moves keys meets one

	syncDir func(dir string) error // tests let it fail

	mu sync.Mutex // held while writing
	// unsettled: a key's file was removed, but a power cut may bring it back.
	unsettled bool
	keys      atomic.Pointer[map[string]*Key]
}

// OpenStore opens the store in a folder of its own, which it makes if need
// be. A file that is not a key as the store writes them is an error: to skip
// it would be to revoke a key in silence. So is a [*MovedError].
func OpenStore(dir string) (*Store, error) {
	ks, err := OpenMoved(dir)
	if err == nil && ks.moved != nil {
		return nil, fmt.Errorf("key store: %w", ks.moved)
	}
	return ks, err
}

// OpenMoved is [OpenStore] also for a folder whose keys were moved away, which
// [Store.Moved] tells: for who moves them.
func OpenMoved(dir string) (*Store, error) {
	// Drafts were left by a crash before their keys were answered.
	if err := errors.Join(durable.MkdirAll(dir), durable.RemoveDrafts(dir)); err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	moved, err := readMoved(dir)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	keys := map[string]*Key{}
	for _, file := range files {
		if file.Name() == movedName {
			continue
		}
		path := filepath.Join(dir, file.Name())
		key, err := readKey(path)
		if err != nil {
			return nil, fmt.Errorf("key store: %s: %w; restore the file from a backup, or remove it to revoke the key", path, err)
		}
		keys[key.ID] = key
	}
	ks := &Store{dir: dir, moved: moved, syncDir: durable.SyncDir}
	ks.keys.Store(&keys)
	return ks, nil
}

func readKey(path string) (*Key, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Decode(filepath.Base(path), content)
}

// Get finds a key; nil: there is none.
func (ks *Store) Get(id string) *Key {
	return (*ks.keys.Load())[id]
}

// All returns the keys of all tenants, in no order.
func (ks *Store) All() []*Key { return slices.Collect(maps.Values(*ks.keys.Load())) }

// Of returns a tenant's keys in no order. It does not fail: a folder of which a file
// can't be read is not opened.
func (ks *Store) Of(tenant gitstore.TenantName) ([]*Key, error) { return ks.of(tenant), nil }

func (ks *Store) of(tenant gitstore.TenantName) []*Key {
	var found []*Key
	for _, key := range *ks.keys.Load() {
		if key.Tenant == tenant {
			found = append(found, key)
		}
	}
	return found
}

// Unread is nil: all keys are known, or the folder is not opened.
func (ks *Store) Unread() error { return nil }

// CatchUp has nothing to do: nobody else makes keys in the folder.
func (ks *Store) CatchUp(context.Context) error { return nil }

// Add stores a key. It fails with [gitstore.ErrLimit] when the tenant has
// [MaxStored] and with [gitstore.ErrUnavailable] when the disk does.
func (ks *Store) Add(_ context.Context, key Key) error {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if len(ks.of(key.Tenant)) >= MaxStored {
		return fmt.Errorf("tenant %s has %d API keys, the most allowed; delete those no longer used: %w", key.Tenant, MaxStored, gitstore.ErrLimit)
	}
	content, err := Encode(key)
	if err != nil {
		return err
	}
	if err := ks.write(StoredName(key.ID), content); err != nil {
		return unavailable(err)
	}
	keys := maps.Clone(*ks.keys.Load())
	keys[key.ID] = &key
	ks.keys.Store(&keys)
	return nil
}

// Remove revokes a tenant's key; false means there is none of that id.
func (ks *Store) Remove(_ context.Context, tenant gitstore.TenantName, id string) (bool, error) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if err := ks.settle(); err != nil {
		return false, err
	}
	keys := *ks.keys.Load()
	if key, ok := keys[id]; !ok || key.Tenant != tenant {
		return false, nil
	}
	err := os.Remove(filepath.Join(ks.dir, StoredName(id)))
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
