package gitdir

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
)

// Files that Git keeps for itself can be of any size where whoever pushes can
// make as many references as he likes. What is read of them is bounded.
func TestFilesOfGigabytesAreNotReadIntoMemory(t *testing.T) {
	const line = "1111111111111111111111111111111111111111 refs/heads/other-"
	sparse := func(t *testing.T, name, start string) {
		f, err := os.Create(name)
		if err == nil {
			_, err = io.WriteString(f, start)
		}
		if err == nil {
			err = f.Truncate(4 << 30) // a hole: nothing is written
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for file, c := range map[string]struct {
		start string
		read  func(*Repository) error
		want  error
	}{
		"packed-refs":     {line + "1\n", func(r *Repository) error { _, err := r.Head(); return err }, object.ErrCorrupt},
		"refs/heads/main": {"", func(r *Repository) error { _, err := r.Head(); return err }, disk.ErrTooLarge},
		"shallow":         {"", func(r *Repository) error { _, err := r.Shallow(object.Hash{1}); return err }, disk.ErrTooLarge},
	} {
		t.Run(file, func(t *testing.T) {
			r := newRepository(t)
			sparse(t, filepath.Join(r.Dir(), file), c.start)
			before := allocated()
			err := c.read(r)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), filepath.Base(file)) {
				t.Errorf("got %v", err)
			}
			if much := allocated() - before; much > 80<<20 {
				t.Errorf("%d MiB were allocated", much>>20)
			}
		})
	}
	t.Run("many references", func(t *testing.T) {
		r := newRepository(t)
		var b strings.Builder
		for b.Len() < 64<<20 {
			b.WriteString(line + strings.Repeat("x", 200) + "\n")
		}
		want := object.Hash{0x12}
		b.WriteString(want.String() + " refs/heads/main\n")
		if err := os.WriteFile(filepath.Join(r.Dir(), "packed-refs"), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		before := allocated()
		if got, err := r.Head(); err != nil || got != want {
			t.Errorf("%s, %v", got, err)
		}
		if much := allocated() - before; much > 1<<20 {
			t.Errorf("%d MiB were allocated", much>>20)
		}
	})
}

// allocated returns the bytes that were ever allocated.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}
