package gitdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// consolidation brings packs and loose objects together in one pack. It reads
// all of them first, then writes the draft of the new pack, reads back what it
// didn't copy byte for byte, and puts the pack in its place. The sources stay:
// to remove them is for the graveyard.
type consolidation struct {
	objects *objects
	reader  *Reader
	place   packPlace // of the draft; the pack is named when it is written
	made    string    // path of the new pack without its extension, once it stands
	sources []*pack.Source
	loose   []looseObject
}

// addPack reads a pack and makes sure that it is undamaged. Its files may be closed
// meanwhile, because others were opened or nobody had read them for long.
func (c *consolidation) addPack(ctx context.Context, p *pack.Pack) error {
	s, err := pack.ReadSource(ctx, p, mostMerged)
	for try := 0; errors.Is(err, fs.ErrClosed) && try < ruleFor(fs.ErrClosed).again; try++ {
		s, err = pack.ReadSource(ctx, p, mostMerged)
	}
	if err != nil {
		return err
	}
	c.sources = append(c.sources, s)
	return nil
}

// addLoose takes those of the loose objects that can be read. The others stay
// where they are; the error says what is wrong with one of them.
func (c *consolidation) addLoose(ctx context.Context, list []looseObject) (unfit error) {
	room := int64(mostMerged)
	for _, l := range list {
		if ctx.Err() != nil {
			return unfit
		}
		_, content, err := c.readLoose(l, min(pack.BiggestUnpacked, room))
		if errors.Is(err, disk.ErrTooLarge) || errors.Is(err, pack.ErrOverBudget) {
			continue
		}
		if room -= int64(len(content)); err != nil {
			unfit = fmt.Errorf("%s: %w", l.path, err)
			continue
		}
		c.loose = append(c.loose, l)
	}
	return unfit
}

// readLoose reads a loose object and checks it against its name.
func (c *consolidation) readLoose(l looseObject, most int64) (object.Kind, []byte, error) {
	kind, content, err := c.reader.loose(c.objects, l.id, most)
	if err == nil {
		err = object.Verify(l.id, kind, content)
	}
	return kind, content, err
}

// write makes the new pack, durably, puts it in its place and returns how many
// objects it has. On failure nothing of it is left.
func (c *consolidation) write(ctx context.Context) (int, error) {
	count := c.count()
	place := c.place
	if err := errors.Join(disk.RemoveIfThere(place.fs, place.draft(".pack")), disk.RemoveIfThere(place.fs, place.draft(".idx"))); err != nil {
		return 0, err
	}
	checksum, err := c.writeDraft(ctx, count)
	if err == nil {
		place, err = place.rename("pack-" + checksum.String())
	}
	if err == nil {
		err = place.publish()
	}
	if err != nil {
		return 0, errors.Join(err, place.discard(), c.place.discard())
	}
	c.made = place.final("")
	return count, c.objects.scan()
}

// count returns the number of objects, each counted once.
func (c *consolidation) count() int {
	unique := make(map[object.Hash]struct{})
	for _, s := range c.sources {
		for id := range s.IDs() {
			unique[id] = struct{}{}
		}
	}
	for _, l := range c.loose {
		unique[l.id] = struct{}{}
	}
	return len(unique)
}

// writeDraft writes the drafts of the pack and its index, durably, and reads
// back what is about to be removed elsewhere.
func (c *consolidation) writeDraft(ctx context.Context, count int) (checksum object.Hash, err error) {
	checksum, index, anew, err := c.writePack(ctx, count)
	if err != nil {
		return checksum, err
	}
	if err := disk.WriteFile(c.place.fs, c.place.draft(".idx"), 0o444, index); err != nil {
		return checksum, err
	}
	return checksum, pack.ReadBack(pack.NewUnpacker(pack.NewEffort(ctx, roundWork)), c.place.fs, c.place.draft(""), anew)
}

func (c *consolidation) writePack(ctx context.Context, count int) (checksum object.Hash, index []byte, anew []object.Hash, err error) {
	f, err := c.place.fs.OpenFile(c.place.draft(".pack"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return checksum, nil, nil, err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	m, err := pack.NewMerger(f, c.reader.unpacker, count)
	if err != nil {
		return checksum, nil, nil, err
	}
	for _, s := range c.sources {
		if err := m.AddPack(ctx, s); err != nil {
			return checksum, nil, nil, err
		}
	}
	for _, l := range c.loose {
		if err := c.copyLoose(ctx, m, l); err != nil {
			return checksum, nil, nil, err
		}
	}
	if checksum, index, anew, err = m.Finish(); err != nil {
		return checksum, nil, nil, err
	}
	return checksum, index, anew, f.Sync()
}

func (c *consolidation) copyLoose(ctx context.Context, m *pack.Merger, l looseObject) error {
	if m.Has(l.id) {
		return ctx.Err()
	}
	kind, content, err := c.readLoose(l, pack.BiggestUnpacked)
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return errors.Join(ctx.Err(), m.AddObject(l.id, kind, content))
}
