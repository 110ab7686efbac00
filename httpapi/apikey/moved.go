package apikey

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"secretsync/gitstore/durable"
)

// MovedError: the keys were moved to another place, so that what is left here is out of
// date: to use it would be to bring keys back that were revoked since.
type MovedError struct {
	From, To string    // such as "namespace secretsync"
	At       time.Time // zero: not told
	Undo     string    // how From is used all the same
}

func (e *MovedError) Error() string {
	when := ""
	if !e.At.IsZero() {
		when = " at " + e.At.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("the API keys in %s were moved to %s%s: set keys.store in the configuration, or move them back with secretsync keys migrate; %s", e.From, e.To, when, e.Undo)
}

// movedName is the file that says so in a folder. To a version that does not know it, it
// is a key that is damaged, so that it does not start either.
const movedName = "MOVED"

// readMoved returns nil if the keys of a folder were not moved away.
func readMoved(dir string) (*MovedError, error) {
	path := filepath.Join(dir, movedName)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	when, to, _ := strings.Cut(strings.TrimSpace(string(content)), " to ")
	at, _ := time.Parse(time.RFC3339, when) // a time that is none is not told
	return &MovedError{From: "the folder " + dir, To: to, At: at, Undo: "to use what is left here all the same, remove the file " + path}, nil
}

// Moved returns a mark that stands in the folder; nil: the keys were not moved away.
func (ks *Store) Moved() *MovedError { return ks.moved }

// SetMoved marks the folder as one whose keys are in another place from now on; with an
// empty name of that place, as one that is good again. The mark is on disk when it
// returns.
func (ks *Store) SetMoved(to string, at time.Time) error {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	path := filepath.Join(ks.dir, movedName)
	var err error
	if to == "" {
		if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		err = durable.Replace(path, fmt.Appendf(nil, "%s to %s\n", at.UTC().Format(time.RFC3339), to))
	}
	if err == nil {
		err = ks.syncDir(ks.dir)
	}
	if err == nil {
		ks.moved, err = readMoved(ks.dir)
	}
	return err
}
