// Package forge makes packs as no tool would write them, but as stock Git takes
// them from whoever pushes: for tests and measurements of what a stranger can
// do.
package forge

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1" // Git's object names are SHA-1.
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ID is the name of an object.
type ID [sha1.Size]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Pack is a pack that is being made.
type Pack struct {
	out     bytes.Buffer
	objects int
	last    int // where the last object begins
}

// New begins a pack.
func New() *Pack {
	p := &Pack{}
	p.out.WriteString("PACK\x00\x00\x00\x02\x00\x00\x00\x00")
	return p
}

// Len returns the number of bytes so far.
func (p *Pack) Len() int { return p.out.Len() }

// Object adds an object, stored whole.
func (p *Pack) Object(kind, content string) ID {
	p.entry(map[string]int{"commit": 1, "tree": 2, "blob": 3}[kind], nil, []byte(content))
	return idOf(kind, []byte(content))
}

func idOf(kind string, content []byte) ID {
	h := sha1.New()
	fmt.Fprintf(h, "%s %d\x00", kind, len(content))
	h.Write(content)
	return ID(h.Sum(nil))
}

func (p *Pack) entry(kind int, base, content []byte) {
	p.last = p.out.Len()
	p.objects++
	size := len(content)
	c := byte(kind<<4 | size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p.out.WriteByte(c | 0x80)
		c = byte(size & 0x7f)
	}
	p.out.WriteByte(c)
	p.out.Write(base)
	z := zlib.NewWriter(&p.out)
	_, _ = z.Write(content) // into memory
	_ = z.Close()
}

// delta adds what begins as the object of size bytes at base does, for keep
// bytes, and then goes on as given.
func (p *Pack) delta(base, size, keep int, more string) {
	delta := binary.AppendUvarint(nil, uint64(size))
	delta = binary.AppendUvarint(delta, uint64(keep+len(more)))
	const most = 1 << 20
	for at := 0; at < keep; at += most {
		length := min(most, keep-at)
		delta = append(delta, 0xff)
		delta = binary.LittleEndian.AppendUint32(delta, uint32(at))
		delta = append(delta, byte(length), byte(length>>8), byte(length>>16))
	}
	delta = append(append(delta, byte(len(more))), more...)
	distance := p.out.Len() - base
	back := []byte{byte(distance & 0x7f)}
	for distance >>= 7; distance > 0; distance >>= 7 {
		distance--
		back = append([]byte{0x80 | byte(distance&0x7f)}, back...)
	}
	const offsetDelta = 6
	p.entry(offsetDelta, back, delta)
}

// Chain adds a blob of size bytes and so many that are the one before and a byte
// more, each as a delta: these are the large ones. On the last of them, and again
// as deltas, come the small ones with the contents given. What is small has to be
// shown together with what is large, else Git doesn't push it.
func (p *Pack) Chain(size, steps int, contents ...string) (small, large []ID) {
	content := make([]byte, size)
	large = append(large, p.Object("blob", string(content)))
	for n := range steps {
		more := string(rune('a' + n%26))
		p.delta(p.last, len(content), len(content), more)
		content = append(content, more...)
		large = append(large, idOf("blob", content))
	}
	top := p.last
	for _, one := range contents {
		p.delta(top, len(content), 0, one)
		small = append(small, idOf("blob", []byte(one)))
	}
	return small, large
}

// Commit adds a commit on top of a parent, if that is not empty, whose folder
// secrets/ shows the blobs in turn under the names, which must be sorted; others
// lie beside it.
func (p *Pack) Commit(parent string, names []string, blobs []ID, others ...ID) ID {
	var secrets, root strings.Builder
	for n, name := range names {
		id := blobs[n%len(blobs)]
		fmt.Fprintf(&secrets, "100644 %s\x00%s", name, id[:])
	}
	for n, id := range others {
		fmt.Fprintf(&root, "100644 a%05d\x00%s", n, id[:])
	}
	tree := p.Object("tree", secrets.String())
	fmt.Fprintf(&root, "40000 secrets\x00%s", tree[:])
	text := fmt.Sprintf("tree %s\n", p.Object("tree", root.String()))
	if parent != "" {
		text += fmt.Sprintf("parent %s\n", parent)
	}
	return p.Object("commit", text+"author a <b> 1700000000 +0000\ncommitter a <b> 1700000000 +0000\n\nx\n")
}

// Names returns so many names of definitions' files, sorted.
func Names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%07d.yaml", prefix, i)
	}
	return list
}

// WriteTo has stock Git take the pack into a new bare repository, from which it
// can be pushed to the repository to; objects of that one may be parents.
func (p *Pack) WriteTo(ctx context.Context, dir, to string) error {
	if err := run(ctx, dir, "init", "-q", "--bare"); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "objects/info/alternates"), []byte(filepath.Join(to, "objects")+"\n"), 0o644); err != nil {
		return err
	}
	content := bytes.Clone(p.out.Bytes())
	binary.BigEndian.PutUint32(content[8:], uint32(p.objects))
	sum := sha1.Sum(content)
	path := filepath.Join(dir, "objects/pack", fmt.Sprintf("pack-%x.pack", sum))
	if err := os.WriteFile(path, append(content, sum[:]...), 0o644); err != nil {
		return err
	}
	return run(ctx, dir, "index-pack", path)
}

// Push has stock Git push a commit from the folder of WriteTo, with the deltas
// as they are.
func Push(ctx context.Context, dir, to string, commit ID) error {
	return run(ctx, dir, "-c", "pack.depth=4095", "-c", "pack.window=0", "push", "-q", to, commit.String()+":refs/heads/main")
}

func run(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
