package gitdir

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"secretsync/gitstore/gitstoretest/forge"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

var enough = TakeBounds{Disk: 1 << 30, Objects: 1_000_000, Work: 4 << 30}

// packOf has stock Git make a pack of what is in a repository, with or without
// what is in the history of a commit.
func packOf(t *testing.T, dir string, wanted ...string) []byte {
	t.Helper()
	cmd := exec.Command("git", "--git-dir", dir, "pack-objects", "--stdout", "--revs", "--delta-base-offset", "-q")
	cmd.Stdin = strings.NewReader(strings.Join(wanted, "\n") + "\n")
	content, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// history makes a bare repository with a history that packs well.
func history(t *testing.T, commits int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mustGit(t, dir, "init", "-q", "--bare", "-b", "main")
	var lines string
	for i := range 400 {
		lines += fmt.Sprintf("line %d\n", i)
	}
	var in bytes.Buffer
	for i := range commits {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter P <p@example.org> %d +0000\ndata 1\nx\n", 1700000000+i)
		content := lines + fmt.Sprint(i)
		fmt.Fprintf(&in, "M 100644 inline secrets/s%d.yaml\ndata %d\n%s\n", i%13, len(content), content)
	}
	cmd := exec.Command("git", "--git-dir", dir, "fast-import", "--quiet")
	cmd.Stdin = &in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mustGit(t, dir, "repack", "-a", "-d", "-f", "-q", "--depth=50")
	return dir
}

// nothingLeft fails if anything of a pack that was refused is there.
func nothingLeft(t *testing.T, r *Repository) {
	t.Helper()
	for _, dir := range []string{"objects/pack", disk.OwnFolder} {
		files, err := os.ReadDir(filepath.Join(r.Dir(), dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			t.Errorf("%s/%s is left", dir, f.Name())
		}
	}
}

func TestAPackFromElsewhereIsTakenInAndTheBranchMoved(t *testing.T) {
	from := history(t, 200)
	head, ok := object.ParseHash([]byte(mustGit(t, from, "rev-parse", "main")))
	if !ok {
		t.Fatal("no commit")
	}
	older := mustGit(t, from, "rev-parse", "main~50")
	olderHash, _ := object.ParseHash([]byte(older))
	r := newRepository(t)
	at := object.Hash{}
	for _, step := range []struct {
		to     object.Hash
		wanted []string
	}{
		{olderHash, []string{older}}, {head, []string{"main", "^" + older}}, {olderHash, nil},
	} {
		if step.wanted != nil {
			done, err := r.Take(t.Context(), bytes.NewReader(packOf(t, from, step.wanted...)), enough)
			if err != nil {
				t.Fatal(err)
			}
			kept, _ := filepath.Glob(filepath.Join(r.Dir(), "objects/pack/*.keep"))
			if len(kept) != 1 {
				t.Errorf("%d packs are kept from gc", len(kept))
			}
			defer func() { clean(t, r) }()
			if err := r.Move(t.Context(), at, step.to); err != nil {
				t.Fatal(err)
			}
			done()
		} else if err := r.Move(t.Context(), at, step.to); err != nil {
			t.Fatal(err)
		}
		at = step.to
		if got := mustHead(t, r); got != at {
			t.Errorf("the branch is at %s, not %s", got, at)
		}
		clean(t, r)
	}
	if got, want := mustGit(t, r.Dir(), "rev-list", "--count", "--objects", head.String()), mustGit(t, from, "rev-list", "--count", "--objects", "main"); got != want {
		t.Errorf("%s objects, not %s", got, want)
	}
	kept, _ := filepath.Glob(filepath.Join(r.Dir(), "objects/pack/*.keep"))
	if len(kept) > 0 {
		t.Errorf("%v are still kept from gc", kept)
	}
	mustGit(t, r.Dir(), "gc", "-q")
	clean(t, r)
}

func TestPacksOfOtherProgramsAreUnderstood(t *testing.T) {
	r := newRepository(t)
	for seed := range uint64(200) {
		p := newForeignPack(rand.New(rand.NewPCG(seed, 1)))
		if hasEmpty(p) { // no program makes a delta of nothing
			continue
		}
		content, _ := p.finish(t)
		done, err := r.Take(t.Context(), iotest.OneByteReader(bytes.NewReader(content)), enough)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		done()
		for id, want := range p.content {
			got, err := r.Reader(t.Context(), 1<<30).ReadVerified(id, p.kinds[id], pack.MaxObject)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("seed %d: %s: %v", seed, id, err)
			}
		}
	}
}

func hasEmpty(p *foreignPack) bool {
	for _, content := range p.content {
		if len(content) == 0 {
			return true
		}
	}
	return false
}

func TestWhatIsNoGoodPackLeavesNothing(t *testing.T) {
	from := history(t, 60)
	good := packOf(t, from, "main")
	resummed := func(content []byte) []byte {
		body := bytes.Clone(content[:len(content)-20])
		sum := sha1.Sum(body)
		return append(body, sum[:]...)
	}
	flipped := func(at int) []byte {
		content := bytes.Clone(good)
		content[at] ^= 0x10
		return content
	}
	counted := func(n uint32) []byte {
		content := bytes.Clone(good)
		binary.BigEndian.PutUint32(content[8:], n)
		return resummed(content)
	}
	count := binary.BigEndian.Uint32(good[8:])
	broken := errors.New("the line is cut")
	small := enough
	small.Disk = int64(len(good)) - 1
	few := enough
	few.Objects = int(count) - 1
	lazy := enough
	lazy.Work = 10 << 10
	thin := &foreignPack{pack: []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00"), sums: make(map[object.Hash]uint32), at: make(map[object.Hash]int64)}
	delta := insertion([]byte("a base that is elsewhere"), []byte("a base that is here"))
	thin.add(object.NameOf(object.KindBlob, []byte("a base that is here")), append(foreignHeader(7, len(delta)), make([]byte, 20)...), delta)
	thinPack, _ := thin.finish(t)
	for what, c := range map[string]struct {
		in   io.Reader
		most TakeBounds
		want error
	}{
		"nothing":                     {strings.NewReader(""), enough, object.ErrCorrupt},
		"something else":              {strings.NewReader("<html>not found</html>" + strings.Repeat(" ", 100)), enough, object.ErrCorrupt},
		"cut off":                     {bytes.NewReader(good[:len(good)/2]), enough, object.ErrCorrupt},
		"cut off before the checksum": {bytes.NewReader(good[:len(good)-20]), enough, object.ErrCorrupt},
		"a line that fails":           {io.MultiReader(bytes.NewReader(good[:len(good)/2]), iotest.ErrReader(broken)), enough, broken},
		"more behind it":              {bytes.NewReader(append(bytes.Clone(good), 'x')), enough, object.ErrCorrupt},
		"a flipped bit":               {bytes.NewReader(flipped(len(good) / 3)), enough, object.ErrCorrupt},
		"a flipped bit, summed anew":  {bytes.NewReader(resummed(flipped(len(good) / 3))), enough, object.ErrCorrupt},
		"more objects than it says":   {bytes.NewReader(counted(count - 1)), enough, object.ErrCorrupt},
		"millions of objects":         {bytes.NewReader(counted(1 << 31)), enough, pack.ErrTooCostly},
		"over the disk's bound":       {bytes.NewReader(good), small, ErrNoRoom},
		"an endless one":              {io.MultiReader(bytes.NewReader(good), endless{}), small, ErrNoRoom},
		"over the bound of objects":   {bytes.NewReader(good), few, pack.ErrTooCostly},
		"over the bound of work":      {bytes.NewReader(good), lazy, pack.ErrOverBudget},
		"a thin one":                  {bytes.NewReader(thinPack), enough, object.ErrMissing},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRepository(t)
			if _, err := r.Take(t.Context(), c.in, c.most); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			nothingLeft(t, r)
			clean(t, r)
		})
	}
	t.Run("fewer objects than it says", func(t *testing.T) {
		// The checksum is taken for an object, and may say that it is of any kind and size.
		r := newRepository(t)
		if _, err := r.Take(t.Context(), bytes.NewReader(counted(count+1)), enough); err == nil {
			t.Error("it was taken")
		}
		nothingLeft(t, r)
		clean(t, r)
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := newRepository(t)
		if _, err := r.Take(ctx, bytes.NewReader(good), enough); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		nothingLeft(t, r)
	})
	t.Run("an empty one", func(t *testing.T) {
		r := newRepository(t)
		done, err := r.Take(t.Context(), bytes.NewReader(resummed([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x0012345678901234567890"))), enough)
		if err != nil {
			t.Fatal(err)
		}
		done()
		nothingLeft(t, r)
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Thirty kilobytes of deltas can unpack to gigabytes.
func TestDeltaBombsAreGivenUpInBoundedMemory(t *testing.T) {
	p := forge.New()
	blobs, large := p.Chain(4<<20, 150, "name: a\n")
	p.Commit("", forge.Names("a", 1), blobs, large...)
	dir := t.TempDir()
	if err := p.WriteTo(t.Context(), dir, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(mustGlob(t, filepath.Join(dir, "objects/pack/*.pack")))
	if err != nil {
		t.Fatal(err)
	}
	r := newRepository(t)
	before := allocated()
	bounds := enough
	bounds.Work = 256 << 20
	_, err = r.Take(t.Context(), bytes.NewReader(content), bounds)
	if !errors.Is(err, pack.ErrOverBudget) {
		t.Errorf("got %v", err)
	}
	t.Logf("%d bytes of pack, %d MiB allocated in all", len(content), (allocated()-before)>>20)
	nothingLeft(t, r)
}

func mustGlob(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v %v", pattern, found, err)
	}
	return found[0]
}
