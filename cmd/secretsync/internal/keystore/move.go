package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"secretsync/httpapi/apikey"
)

// Move is a move of all keys from one place to the other.
type Move struct {
	Folder    string  // the data folder
	Secrets   Secrets // of the home namespace
	Namespace string  // its name
	ToFolder  bool    // from the Secrets; else to them
	// KeepHashKey: the hash key stands in a file of its own, and stays there.
	KeepHashKey bool
	Now         func() time.Time
}

// Moved is what became of a move.
type Moved struct {
	From, To      string
	Keys, Tenants int
	HashKey       bool     // it was moved as well
	Before        bool     // all was done by an earlier move
	Left          []string // commands that remove what was left behind
}

// place is where keys are kept.
type place interface {
	fmt.Stringer
	// read returns all that stands there. What can't be read is an error.
	read(context.Context) (contents, error)
	// write adds a hash key, unless it is nil, and keys.
	write(ctx context.Context, hash []byte, keys []*apikey.Key) error
	// mark says that all was moved to another place; empty: that it is good again.
	mark(ctx context.Context, to string, at time.Time) error
	// removal returns commands that remove these keys; nil: everything.
	removal([]*apikey.Key) []string
	// hashRemoval returns the command that removes the hash key.
	hashRemoval() string
}

// contents are what stands in a place.
type contents struct {
	keys  map[string]*apikey.Key
	hash  []byte // nil: there is none
	moved *apikey.MovedError
}

// Run makes the move. It may be ended at any instant, and made again: nothing is removed,
// and what was left behind is marked only after all was read back where it is now.
//
//	                           from     to
//	keys are copied            good     good, or marked by an earlier move from there
//	all is read back           good     the same
//	from is marked             marked   the same
//	the mark of to is removed  marked   good
//
// Two marks are those of a move that ended between the last two steps: no server starts
// with either place till it is made again. The folder must be used by nobody else; that
// servers with the Secrets are stopped is for the caller to see to. One that is not is
// told by the mark, and what it changed before makes the move fail.
func (m Move) Run(ctx context.Context) (Moved, error) {
	var from, to place = &folder{m.Folder}, &namespace{m.Secrets, m.Namespace}
	if m.ToFolder {
		from, to = to, from
	}
	source, target, err := m.both(ctx, from, to)
	if err != nil {
		return Moved{}, err
	}
	done := Moved{From: from.String(), To: to.String(), Left: append(from.removal(nil), m.hashRemoval(from)...)}
	if source.moved != nil && target.moved == nil {
		done.Before = true
		return done, nil
	}
	if len(source.keys) == 0 && source.hash == nil {
		return done, fmt.Errorf("there is nothing to move in %s: no API key and no hash key; is it the right place?", from)
	}
	missing, err := m.compare(from, to, source, target)
	if err != nil {
		return done, err
	}
	hash := source.hash
	if target.hash != nil {
		hash = nil // it is the same
	}
	if err := to.write(ctx, hash, missing); err != nil {
		return done, fmt.Errorf("%w; nothing was removed, and the move can be made again", err)
	}

	after, arrived, err := m.both(ctx, from, to)
	if err == nil {
		err = same(from, to, source, after, arrived)
	}
	if err != nil {
		return done, err
	}
	at := m.Now()
	if err := from.mark(ctx, to.String(), at); err != nil {
		return done, fmt.Errorf("all is in %s, but that can't be noted in %s: %w; make the move again", to, from, err)
	}
	if target.moved != nil {
		if err := to.mark(ctx, "", at); err != nil {
			return done, fmt.Errorf("all is in %s, but the note there that it was moved away can't be removed: %w; make the move again", to, err)
		}
	}
	tenants := map[string]bool{}
	for _, key := range source.keys {
		tenants[key.Tenant.String()] = true
	}
	done.Keys, done.Tenants, done.HashKey = len(source.keys), len(tenants), source.hash != nil
	return done, nil
}

func (m Move) hashRemoval(p place) []string {
	if m.KeepHashKey {
		return nil
	}
	return []string{p.hashRemoval()}
}

func (m Move) both(ctx context.Context, from, to place) (source, target contents, err error) {
	if source, err = from.read(ctx); err == nil {
		target, err = to.read(ctx)
	}
	if m.KeepHashKey {
		source.hash, target.hash = nil, nil
	}
	return source, target, err
}

// compare returns the keys that are yet to be written. What is in the way is an error:
// another hash key, another key of the same id, and keys that only the target has, for
// they would come back to life.
func (m Move) compare(from, to place, source, target contents) (missing []*apikey.Key, err error) {
	var only, differ []*apikey.Key
	for _, key := range inOrder(target.keys) {
		switch other := source.keys[key.ID]; {
		case other == nil:
			only = append(only, key)
		case !equal(key, other):
			differ = append(differ, key)
		}
	}
	for _, key := range inOrder(source.keys) {
		if target.keys[key.ID] == nil {
			missing = append(missing, key)
		}
	}
	switch {
	case len(differ) > 0:
		return nil, fmt.Errorf("%s in %s are others than those of the same ids in %s: nothing was moved; find out which are right, and remove the others there:\n%s", listed(differ), to, from, lines(to.removal(differ)))
	case len(only) > 0:
		return nil, fmt.Errorf("%s stand in %s and not in %s: they were revoked since they were moved from there, or are another server's, and would be good again; nothing was moved. Remove them first:\n%s", listed(only), to, from, lines(to.removal(only)))
	case source.hash != nil && target.hash != nil && !bytes.Equal(source.hash, target.hash):
		return nil, fmt.Errorf("the hash key in %s is another one than in %s: it is that of another server, or was made by a start with nothing there; nothing was moved. If no server uses it any more, remove it first:\n  %s", to, from, to.hashRemoval())
	}
	return missing, nil
}

// same holds what stands in both places after the move against what was to be moved.
func same(from, to place, source, after, arrived contents) error {
	agree := func(a, b contents) bool {
		return maps.EqualFunc(a.keys, b.keys, equal) && bytes.Equal(a.hash, b.hash)
	}
	switch {
	case !agree(source, after):
		return fmt.Errorf("keys in %s were made or revoked meanwhile: stop the servers that use them, and make the move again", from)
	case source.hash == nil:
		arrived.hash = nil // there was none to compare it with
	}
	if !agree(source, arrived) {
		return fmt.Errorf("what stands in %s now is not what stands in %s: stop the servers that use them, and make the move again", to, from)
	}
	return nil
}

func equal(a, b *apikey.Key) bool {
	one, errA := apikey.Encode(*a)
	other, errB := apikey.Encode(*b)
	return errors.Join(errA, errB) == nil && bytes.Equal(one, other)
}

func inOrder(keys map[string]*apikey.Key) []*apikey.Key {
	return slices.SortedFunc(maps.Values(keys), func(a, b *apikey.Key) int {
		if c := strings.Compare(a.Tenant.String(), b.Tenant.String()); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// listed names some keys, for an error.
func listed(keys []*apikey.Key) string {
	const most = 5
	var names []string
	for _, key := range keys[:min(len(keys), most)] {
		names = append(names, key.ID+" of "+key.Tenant.String())
	}
	more := ""
	if len(keys) > most {
		more = ", …"
	}
	return fmt.Sprintf("%d API keys (%s%s)", len(keys), strings.Join(names, ", "), more)
}

func lines(commands []string) string {
	return "  " + strings.Join(commands, "\n  ")
}
