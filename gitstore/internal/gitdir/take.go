package gitdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// TakeBounds bound what [Repository.Take] may cost.
type TakeBounds struct {
	// Disk is how many bytes the repository's objects may take afterwards.
	Disk int64
	// Objects is how many there may be in the pack.
	Objects int
	// Work is what it may cost to unpack them; see [pack.Effort].
	Work int64
	// Between is called between two pieces of that work, and may end it. Nil:
	// nothing is.
	Between func() error
}

// ErrNoRoom says that a repository would take more of the disk than is allowed.
var ErrNoRoom = errors.New("no room")

// Take puts a pack on disk that comes from elsewhere, and makes sure of what is in
// it before anybody sees it; on failure nothing of it is left. Till done is called
// no git gc takes its objects for rubbish: a reference is to be moved first.
//
// It fails with [ErrNoRoom], and as [pack.IndexForeign] does. What it takes of
// memory goes with the number of objects. It may be called at the same time as
// anything.
func (r *Repository) Take(ctx context.Context, in io.Reader, most TakeBounds) (done func(), err error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := disk.MkdirBelow(r.fs, r.dir, filepath.Join(r.dir, disk.OwnFolder), 0o755); err != nil {
		return nil, err
	}
	place := r.packPlace(fmt.Sprintf("incoming-%d", r.taken.Add(1)))
	incoming := place
	checksum, count, err := r.receive(ctx, place, in, most)
	if err == nil && count == 0 {
		return func() {}, place.discard()
	}
	r.placing.Lock() // the same pack may come twice
	defer r.placing.Unlock()
	if err == nil {
		place, err = place.rename("pack-" + checksum.String())
	}
	if err == nil {
		err = place.keep()
	}
	if err == nil {
		err = place.publish()
	}
	if err == nil {
		err = r.objects.scan()
	}
	if err != nil {
		return nil, errors.Join(err, place.discard(), incoming.discard())
	}
	return func() {
		if err := place.unkeep(); err != nil {
			r.observer.Warn("a pack's mark was not removed; it is at the next start", err)
		}
	}, nil
}

// receive writes the drafts of a pack and its index, durably.
func (r *Repository) receive(ctx context.Context, place packPlace, in io.Reader, most TakeBounds) (checksum object.Hash, count int, err error) {
	used, err := r.Size()
	if err != nil {
		return checksum, 0, err
	}
	f, err := r.fs.OpenFile(place.draft(".pack"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return checksum, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	room := max(0, most.Disk-used)
	size, err := io.Copy(f, io.LimitReader(in, room+1))
	if err != nil {
		return checksum, 0, err
	}
	if size > room {
		return checksum, 0, fmt.Errorf("%w: its objects would take more than the %d MiB that are allowed", ErrNoRoom, most.Disk>>20)
	}
	e := pack.NewEffort(ctx, most.Work)
	e.Between(most.Between)
	index, checksum, count, err := pack.IndexForeign(e, f, size, most.Objects)
	if err != nil || count == 0 {
		return checksum, count, err
	}
	if err := disk.WriteFile(r.fs, place.draft(".idx"), 0o444, index); err != nil {
		return checksum, count, err
	}
	return checksum, count, f.Sync()
}

// Size returns how many bytes of the disk the objects take.
func (r *Repository) Size() (total int64, err error) {
	folders, err := r.fs.ReadDir(r.objects.dir)
	if err != nil {
		return 0, err
	}
	for _, folder := range folders {
		if !folder.IsDir() || folder.Name() == "info" {
			continue
		}
		files, err := r.fs.ReadDir(filepath.Join(r.objects.dir, folder.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		for _, f := range files {
			info, err := f.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // gone again
			} else if err != nil {
				return 0, err
			}
			total += info.Size()
		}
	}
	return total, nil
}
