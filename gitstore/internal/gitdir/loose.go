package gitdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"secretsync/gitstore/internal/gitdir/object"
)

// looseObject is an object that has a file to itself.
type looseObject struct {
	id       object.Hash
	path     string
	modified time.Time
}

const (
	biggestLoose = 4 << 20 // on disk; bigger ones stay as they are
	mostLoose    = 20_000  // in one round
)

// listLoose returns the loose objects, oldest first.
func (o *objects) listLoose(ctx context.Context) ([]looseObject, error) {
	var list []looseObject
	for first := range 256 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		folder := fmt.Sprintf("%02x", first)
		files, err := o.fs.ReadDir(filepath.Join(o.dir, folder))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		for _, f := range files {
			id, ok := object.ParseHash([]byte(folder + f.Name()))
			info, err := f.Info()
			if !ok || errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() > biggestLoose {
				continue
			} else if err != nil {
				return nil, err
			}
			list = append(list, looseObject{id, filepath.Join(o.dir, folder, f.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(list, func(a, b looseObject) int { return a.modified.Compare(b.modified) })
	return list[:min(len(list), mostLoose)], nil
}
