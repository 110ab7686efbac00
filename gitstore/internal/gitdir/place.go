package gitdir

import (
	"errors"
	"io/fs"
	"path/filepath"

	"secretsync/gitstore/internal/gitdir/disk"
)

// A packPlace is where one pack comes to lie. Until it is whole and on disk it
// lies in our own folder: of what it finds in its own, git gc takes the liberty
// to remove what looks unfinished.
//
// The order in which a pack is placed, and what a crash after each step leaves:
//
//	step                              on disk afterwards            who mends it
//	1 drafts .pack and .idx written   drafts in our folder          the sweep at the start removes them
//	  and synced
//	2 keep: the .keep mark put        a mark without a pack         the sweep knows the mark by its text
//	3 .pack gets its name             a pack without index, which   the sweep, which finds the draft of
//	                                  nobody reads                  that index
//	4 .idx gets its name              a pack that everybody reads   nobody: its objects are no harm
//	5 the folder is synced            the same, after a power cut   –
//	6 the reference moves             commits that are answered     –
//	7 unkeep: the mark removed        the pack as it stays          the sweep, if it was not reached
//
// The mark comes before the name, so that no gc ever sees the pack without it;
// the index comes after the pack, since an index is what Git goes by. A pack
// that is merged from others has no steps 2, 6 and 7: references hold its
// objects already.
type packPlace struct {
	fs   disk.FileSystem
	repo string // the repository's folder
	name string // "pack-" and the checksum
}

func (p packPlace) dir() string { return filepath.Join(p.repo, "objects", "pack") }

func (p packPlace) final(extension string) string {
	return filepath.Join(p.dir(), p.name+extension)
}

func (p packPlace) draft(extension string) string {
	return filepath.Join(p.repo, disk.OwnFolder, disk.DraftPrefix+p.name+extension)
}

// keep writes the mark that keeps the pack from a concurrent gc. It need not
// be durable: after a power cut there is no gc to be kept from. But it must
// appear whole, to be known for ours after a crash.
func (p packPlace) keep() error {
	if err := disk.WriteFile(disk.Unsynced(p.fs), p.draft(".keep"), 0o444, []byte(keepMark)); err != nil {
		return err
	}
	return p.fs.Rename(p.draft(".keep"), p.final(".keep"))
}

func (p packPlace) unkeep() error { return disk.RemoveIfThere(p.fs, p.final(".keep")) }

// rename gives the drafts the name of their pack, once it is known. On failure
// it returns the place where some of them may be.
func (p packPlace) rename(name string) (packPlace, error) {
	named := p
	named.name = name
	for _, ext := range []string{".pack", ".idx"} {
		if err := p.fs.Rename(p.draft(ext), named.draft(ext)); err != nil {
			return named, err
		}
	}
	return named, nil
}

// publish gives the drafts their names, index last: Git goes by it.
func (p packPlace) publish() error {
	if err := p.fs.Rename(p.draft(".pack"), p.final(".pack")); err != nil {
		return err
	}
	if err := p.fs.Rename(p.draft(".idx"), p.final(".idx")); err != nil {
		return err
	}
	return p.fs.SyncDir(p.dir())
}

// discard removes what there is of the pack while nobody can see it, which is
// as long as it has no index. A pack that was seen stays: what somebody pushed
// meanwhile may count on its objects. If nothing does, git gc collects it.
func (p packPlace) discard() error {
	errs := []error{disk.RemoveIfThere(p.fs, p.draft(".idx")), disk.RemoveIfThere(p.fs, p.draft(".pack")), disk.RemoveIfThere(p.fs, p.draft(".keep"))}
	if _, err := p.fs.Lstat(p.final(".idx")); errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, disk.RemoveIfThere(p.fs, p.final(".pack")))
	}
	return errors.Join(append(errs, p.unkeep())...)
}

// keepMark stands in the .keep file of a pack whose commits no reference holds
// yet, so that a gc meanwhile does not take them for rubbish.
const keepMark = "secretsync: being committed\n"
