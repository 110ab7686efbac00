package apikey

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore/durable"
)

// usageGrain is how exactly it is told when a key was used last.
const usageGrain = time.Minute

// Usage remembers when each key was used last. A request costs it no write to
// the disk, and none to memory but for the first in a minute. Its zero value is
// empty, ready, and kept nowhere.
type Usage struct {
	file    string   // empty: it is not kept beyond the process
	byID    sync.Map // string → *atomic.Int64, seconds since 1970
	changed atomic.Bool
}

// OpenUsage reads what an earlier process kept in a file; without a name for one
// nothing is kept. A file that can't be read is an error that costs nothing but
// what it told.
func OpenUsage(file string) (*Usage, error) {
	u := &Usage{file: file}
	if file == "" {
		return u, nil
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	kept := map[string]time.Time{}
	if err == nil {
		err = json.Unmarshal(content, &kept)
	}
	if err != nil {
		return u, fmt.Errorf("when keys were used last: %s: %w", file, err)
	}
	for id, at := range kept {
		u.Touch(id, at)
	}
	u.changed.Store(false)
	return u, nil
}

// Touch notes that a key was used.
func (u *Usage) Touch(id string, now time.Time) {
	v, ok := u.byID.Load(id)
	if !ok {
		v, _ = u.byID.LoadOrStore(id, new(atomic.Int64))
	}
	last, at := v.(*atomic.Int64), now.Truncate(usageGrain).Unix()
	if last.Load() < at {
		last.Store(at)
		u.changed.Store(true)
	}
}

// Of returns when a key was used last, in UTC; zero where that is not known.
func (u *Usage) Of(id string) time.Time {
	if v, ok := u.byID.Load(id); ok {
		return time.Unix(v.(*atomic.Int64).Load(), 0).UTC()
	}
	return time.Time{}
}

// Forget drops a key that was revoked.
func (u *Usage) Forget(id string) {
	u.byID.Delete(id)
	u.changed.Store(true)
}

// Save writes to the file what is known of the keys that exist.
func (u *Usage) Save(exists func(id string) bool) error {
	if u.file == "" || !u.changed.Swap(false) {
		return nil
	}
	kept := map[string]time.Time{}
	u.byID.Range(func(id, _ any) bool {
		if id := id.(string); exists(id) {
			kept[id] = u.Of(id)
		}
		return true
	})
	content, err := json.MarshalIndent(kept, "", "  ")
	if err == nil {
		err = durable.Replace(u.file, append(content, '\n'))
	}
	if err != nil {
		u.changed.Store(true)
		return fmt.Errorf("when keys were used last: %w", err)
	}
	return nil
}
