package httpapi

import (
	"context"
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

const (
	// usageGrain is how exactly it is told when a key was used last.
	usageGrain = time.Minute
	// usageKept is how often that is written to disk: what a crash may lose.
	usageKept = 10 * time.Minute
)

// usage remembers when each key was used last. A request costs it no write to
// the disk, and none to memory but for the first in a minute.
type usage struct {
	file    string   // empty: it is not kept beyond the process
	byID    sync.Map // string → *atomic.Int64, seconds since 1970
	changed atomic.Bool
}

// openUsage reads what an earlier process kept. A file that can't be read is an
// error that costs nothing but what it told.
func openUsage(file string) (*usage, error) {
	u := &usage{file: file}
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
		u.touch(id, at)
	}
	u.changed.Store(false)
	return u, nil
}

func (u *usage) touch(id string, now time.Time) {
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

// of returns when a key was used last, in UTC; zero where that is not known.
func (u *usage) of(id string) time.Time {
	if v, ok := u.byID.Load(id); ok {
		return time.Unix(v.(*atomic.Int64).Load(), 0).UTC()
	}
	return time.Time{}
}

func (u *usage) forget(id string) {
	u.byID.Delete(id)
	u.changed.Store(true)
}

// save writes down what is known of the keys that exist.
func (u *usage) save(exists func(id string) bool) error {
	if u.file == "" || !u.changed.Swap(false) {
		return nil
	}
	kept := map[string]time.Time{}
	u.byID.Range(func(id, _ any) bool {
		if id := id.(string); exists(id) {
			kept[id] = u.of(id)
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

// keepUsage saves it from time to time till ctx ends.
func (s *Server) keepUsage(ctx context.Context) {
	tick := time.NewTicker(usageKept)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.saveUsage()
		}
	}
}

func (s *Server) saveUsage() {
	exists := func(id string) bool { return s.state.Load().keys[id] != nil || s.cfg.KeyStore.get(id) != nil }
	if err := s.usage.save(exists); err != nil {
		s.log.Error("what is told of keys may be old after a restart", "error", err)
	}
}
