package gitdir

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"k8s.io/utils/clock"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// silent is told everything and says nothing.
type silent struct{}

func (silent) Warn(string, error) {}
func (silent) Round(Round)        {}

// newRepository makes and opens an empty repository.
func newRepository(t *testing.T) *Repository {
	t.Helper()
	r := newRepositoryOn(t, disk.OS{})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// newRepositoryOn is the same by way of a file system, and is to be closed.
func newRepositoryOn(t *testing.T, files disk.FileSystem) *Repository {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "test.git")
	if err := Init(files, dir, "refs/heads/main", "test", time.Now()); err != nil {
		t.Fatal(err)
	}
	r, err := Open(Config{
		Dir: dir, Ref: "refs/heads/main", FS: files, Clock: clock.RealClock{}, Observer: silent{}, Slots: make(chan struct{}, 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// commitFile makes a commit with nothing but that file.
func commitFile(t *testing.T, r *Repository, name, content string) object.Hash {
	t.Helper()
	from, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	b := pack.NewBuilder()
	b.Reset()
	file, err := object.Tree(nil).Set(name, filemode.Regular, b.Add(object.KindBlob, []byte(content)))
	if err != nil {
		t.Fatal(err)
	}
	tree := b.Add(object.KindTree, file.Apply(nil))
	text := "tree " + tree.String() + "\n"
	if !from.IsZero() {
		text += "parent " + from.String() + "\n"
	}
	const person = "A <a@example.org> 1700000000 +0000\n"
	to := b.Add(object.KindCommit, []byte(text+"author "+person+"committer "+person+"\nchange "+name+"\n"))
	if err := r.Advance(context.Background(), b, from, to); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestAPackThatCannotBeTakenApartStopsMaintenanceOnce(t *testing.T) {
	r := newRepository(t)
	commitFile(t, r, "alpha", "one")
	commitFile(t, r, "beta", "two")
	p := newForeignPack(rand.New(rand.NewPCG(0, 0)))
	tree := []byte(strings.Repeat("not what its name says", 100))
	p.add(object.Hash{1}, foreignHeader(int(object.KindTree), len(tree)), tree)
	content, idx := p.finish(t)
	base := fmt.Sprintf("pack-%x", content[len(content)-20:])
	path := filepath.Join(r.Dir(), "objects/pack", base)
	for name, part := range map[string][]byte{".pack": content, ".idx": idx} {
		if err := os.WriteFile(path+name, part, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Round(t.Context()); err == nil || !strings.Contains(err.Error(), base) {
		t.Errorf("got %v", err)
	}
	if made, err := r.Round(t.Context()); err != nil || made == 0 {
		t.Errorf("%d objects, %v", made, err)
	}
	if _, err := os.Lstat(path + ".pack"); err != nil {
		t.Error(err)
	}
}

// sized is the file of a pack of so many bytes.
type sized int64

func (s sized) Size() int64 { return int64(s) }

func (sized) Name() string { return "pack-1.pack" }

func (sized) Mode() fs.FileMode { return 0 }

func (sized) ModTime() time.Time { return time.Time{} }

func (sized) IsDir() bool { return false }

func (sized) Sys() any { return nil }

func TestNoMoreIsMergedThanFitsIntoMemory(t *testing.T) {
	var packs []candidate
	for _, size := range []int64{mostMerged, 10, mostMerged - 30, 20, 30} {
		packs = append(packs, candidate{pack: &pack.Pack{}, info: sized(size)})
	}
	var total int64
	fit := fitting(packs)
	for _, p := range fit {
		total += p.info.Size()
	}
	if len(fit) != 3 || total != 60 {
		t.Errorf("%d packs of %d bytes", len(fit), total)
	}
}

func TestAnObjectIsCopiedAFewTimesHoweverManyPacksCome(t *testing.T) {
	const each, rounds = 400 << 10, 4000
	var packs []candidate
	var copied int64
	add := func(size int64) {
		packs = append(packs, candidate{pack: &pack.Pack{Count: int(size / 200)}, info: sized(size)})
	}
	for range rounds {
		add(each)
		left := slices.DeleteFunc(slices.Clone(packs), func(c candidate) bool { return c.info.Size() > biggestSource })
		chosen := fitting(chooseGeometric(left, 0))
		if len(chosen) < 2 {
			continue
		}
		var merged int64
		for _, c := range chosen {
			merged += c.info.Size()
		}
		packs = slices.DeleteFunc(packs, func(c candidate) bool {
			return slices.ContainsFunc(chosen, func(d candidate) bool { return c.pack == d.pack })
		})
		add(merged)
		copied += merged
	}
	if times := float64(copied) / (each * rounds); times > 6 {
		t.Errorf("each byte was copied %.1f times", times)
	}
	if most := each*rounds/biggestSource + 10; len(packs) > most {
		t.Errorf("%d packs are left, more than %d", len(packs), most)
	}
}

func TestPacksAreMergedInGeometricSteps(t *testing.T) {
	tests := map[string]struct {
		counts []int
		loose  int
		merged int
	}{
		"nothing":                           {nil, 0, 0},
		"one pack":                          {[]int{10}, 0, 0},
		"each twice the one before":         {[]int{10, 20, 40, 80}, 0, 0},
		"two alike":                         {[]int{10, 10}, 0, 2},
		"small ones beside a big one":       {[]int{4, 4, 4, 1000}, 0, 3},
		"small ones that add up to the big": {[]int{4, 4, 4, 20}, 0, 4},
		"loose objects beside a big pack":   {[]int{1000}, 10, 0},
		"loose objects beside a small pack": {[]int{15}, 10, 1},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			var packs []candidate
			for _, n := range test.counts {
				packs = append(packs, candidate{pack: &pack.Pack{Count: n}})
			}
			if got := len(chooseGeometric(packs, test.loose)); got != test.merged {
				t.Errorf("%d packs are merged, want %d", got, test.merged)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestARepositoryAtRestHasNothingToMaintain(t *testing.T) {
	r := newRepository(t)
	r.maintenance.after = 3
	if r.Maintenance(false) != nil {
		t.Error("something is due in a new one")
	}
	for n := range 3 {
		commitFile(t, r, "alpha", fmt.Sprint(n))
		r.Note()
	}
	select {
	case <-r.Due():
	default:
		t.Fatal("nothing is due after enough changes")
	}
	work := r.Maintenance(true)
	if work == nil {
		t.Fatal("nothing is done about it")
	}
	if r.Maintenance(true) != nil {
		t.Error("it is done twice at the same time")
	}
	packs := len(packFiles(t, r))
	work(t.Context())
	if r.Maintenance(false) != nil {
		t.Error("it is done again without a change")
	}
	r.EndMaintenance()
	if after := len(packFiles(t, r)); after >= packs {
		t.Errorf("%d files of packs became %d", packs, after)
	}
	clean(t, r)
}
