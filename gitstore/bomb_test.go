package gitstore

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/gitstore/internal/gitdir"
)

// A forgedPack is a pack as no tool would write it, but as stock Git takes it.
type forgedPack struct {
	bytes.Buffer
	objects int
	last    int // where the last object begins
}

func (p *forgedPack) entry(kind, size int, base, content []byte) {
	p.last = p.Len()
	p.objects++
	c := byte(kind<<4 | size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p.WriteByte(c | 0x80)
		c = byte(size & 0x7f)
	}
	p.WriteByte(c)
	p.Write(base)
	z := zlib.NewWriter(p)
	z.Write(content)
	z.Close()
}

// object adds an object that is stored whole.
func (p *forgedPack) object(kind string, content []byte) gitdir.Hash {
	p.entry(map[string]int{"commit": 1, "tree": 2, "blob": 3}[kind], len(content), nil, content)
	return hashOf(kind, content)
}

// delta adds the object that begins as the last one does, for keep bytes, and
// then goes on as given.
func (p *forgedPack) delta(size, keep int, more string) {
	delta := binary.AppendUvarint(nil, uint64(size))
	delta = binary.AppendUvarint(delta, uint64(keep+len(more)))
	for at := 0; at < keep; at += 1 << 20 {
		much := min(1<<20, keep-at)
		delta = append(delta, 0xff)
		delta = binary.LittleEndian.AppendUint32(delta, uint32(at))
		delta = append(delta, byte(much), byte(much>>8), byte(much>>16))
	}
	delta = append(append(delta, byte(len(more))), more...)
	distance := p.Len() - p.last
	back := []byte{byte(distance & 0x7f)}
	for distance >>= 7; distance > 0; distance >>= 7 {
		distance--
		back = append([]byte{0x80 | byte(distance&0x7f)}, back...)
	}
	p.entry(6, len(delta), back, delta)
}

// chain adds a blob of size bytes and so many that are the one before and a
// byte more, each as a delta. On top of them comes one that has but the last
// bytes: it is returned, and the others with it, which have to be pushed, too.
func (p *forgedPack) chain(size, steps int, last string) (small gitdir.Hash, large []gitdir.Hash) {
	content := make([]byte, size)
	large = append(large, p.object("blob", content))
	for n := range steps {
		more := string(rune('a' + n%26))
		p.delta(len(content), len(content), more)
		content = append(content, more...)
		large = append(large, hashOf("blob", content))
	}
	p.delta(len(content), 0, last)
	return hashOf("blob", []byte(last)), large
}

func hashOf(kind string, content []byte) gitdir.Hash {
	h := sha1.New()
	fmt.Fprintf(h, "%s %d\x00", kind, len(content))
	h.Write(content)
	return gitdir.Hash(h.Sum(nil))
}

// commit adds a commit that shows a blob as secrets/ under each of the names,
// and others beside.
func (p *forgedPack) commit(parent Revision, blob gitdir.Hash, names []string, others ...gitdir.Hash) gitdir.Hash {
	var secrets, lines bytes.Buffer
	for n, id := range others {
		fmt.Fprintf(&lines, "100644 a%04d\x00%s", n, id[:])
	}
	for _, n := range names {
		fmt.Fprintf(&secrets, "100644 %s\x00%s", n, blob[:])
	}
	tree := p.object("tree", secrets.Bytes())
	fmt.Fprintf(&lines, "40000 secrets\x00%s", tree[:])
	text := fmt.Sprintf("tree %s\n", p.object("tree", lines.Bytes()))
	if !parent.IsZero() {
		text += fmt.Sprintf("parent %s\n", parent)
	}
	return p.object("commit", []byte(text+"author a <b> 1700000000 +0000\ncommitter a <b> 1700000000 +0000\n\nx\n"))
}

// push has stock Git push a commit of the pack.
func (p *forgedPack) push(s *story, commit gitdir.Hash) Revision {
	s.Helper()
	dir := s.TempDir()
	s.git(dir, "init", "-q", "--bare")
	s.must(os.WriteFile(filepath.Join(dir, "objects/info/alternates"), []byte(filepath.Join(s.gitDir(), "objects")+"\n"), 0o644))
	content := append([]byte("PACK\x00\x00\x00\x02"), binary.BigEndian.AppendUint32(nil, uint32(p.objects))...)
	content = append(content, p.Bytes()[12:]...)
	sum := sha1.Sum(content)
	path := filepath.Join(dir, "objects/pack", fmt.Sprintf("pack-%x.pack", sum))
	s.must(os.WriteFile(path, append(content, sum[:]...), 0o644))
	s.git(dir, "index-pack", path)
	s.git(dir, "-c", "pack.depth=4095", "-c", "pack.window=0", "push", "-q", s.gitDir(), commit.String()+":refs/heads/main")
	return revisionOf(commit)
}

func forge() *forgedPack {
	p := &forgedPack{}
	p.Write(make([]byte, 12)) // the header, when the objects are counted
	return p
}

func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%07d.yaml", prefix, i)
	}
	return list
}

// Thirty kilobytes of deltas stand for gigabytes, and a tree can show them under
// any number of names.
func TestAPushThatUnpacksToGigabytesCostsLittle(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	p := forge()
	small, large := p.chain(1<<20, 130, "small")
	commit := p.commit(s.repo.Snapshot().Head(), small, names("bomb-", 900), large...)
	if p.Len() > 64<<10 {
		t.Fatalf("the push has %d bytes", p.Len())
	}
	before := allocated()
	snapshot := s.at(p.push(s, commit))
	if much := allocated() - before; much > 64<<20 {
		t.Errorf("%d MiB were allocated to follow it", much>>20)
	}
	e := s.get(snapshot, "bomb-0000000")
	if e.Invalid == nil || !strings.Contains(e.Invalid.Cause, "deltas") {
		t.Errorf("the file that is left unread: %v", e.Invalid)
	}
	s.create(defined("beta"))
	s.close()
	s.open()
	if got := s.repo.Snapshot(); len(got.Entries()) != 901 || s.repo.Healthy() != nil {
		t.Errorf("%d definitions after a start, %v", len(got.Entries()), s.repo.Healthy())
	}
}
