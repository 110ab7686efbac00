package pack

import (
	"bytes"
	"slices"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
)

func FuzzDeltasOfTreesGiveThemBack(f *testing.F) {
	a, b := "100644 a.yaml\x00"+string(make([]byte, 20)), "40000 b\x00"+string(make([]byte, 20))
	f.Add([]byte(a+b), []byte(a+"100644 b.yaml\x00"+string(make([]byte, 20))))
	f.Add([]byte(b), []byte(a+b))
	f.Add([]byte("100644 "), []byte("\x00"))
	f.Fuzz(func(t *testing.T, old, new []byte) {
		var w deltaWriter
		delta, err := w.trees(old, new)
		if err != nil || len(old) == 0 || len(new) == 0 {
			return // nothing is a delta of nothing
		}
		if back, err := applyDelta(old, delta); err != nil || !bytes.Equal(back, new) {
			t.Errorf("the delta does not give the tree back: %v", err)
		}
	})
}

func FuzzTreeEditsAreWhatTheirDeltasSay(f *testing.F) {
	a, c := "100644 a.yaml\x00"+string(make([]byte, 20)), "100644 c.yaml\x00"+string(make([]byte, 20))
	f.Add([]byte(a+c), "b.yaml", true)
	f.Add([]byte(a), "a.yaml", false)
	f.Fuzz(func(t *testing.T, raw []byte, file string, set bool) {
		change, err := object.Tree(raw).Remove(file)
		if set {
			change, err = object.Tree(raw).Set(file, filemode.Regular, object.Hash{7})
		}
		if err != nil {
			return
		}
		edited := change.Apply(raw)
		if len(raw) == 0 || len(edited) == 0 {
			return // nothing is a delta of nothing
		}
		var w deltaWriter
		if back, err := applyDelta(raw, w.edit(raw, change)); err != nil || !bytes.Equal(back, edited) {
			t.Errorf("the delta does not give the tree back: %v", err)
		}
		found := object.EditBetween(raw, edited)
		if back, err := applyDelta(raw, w.edit(raw, found)); err != nil || !bytes.Equal(back, edited) || !bytes.Equal(found.Apply(raw), edited) {
			t.Errorf("the edit that is found does not give the tree back: %v", err)
		}
	})
}

func FuzzDeltasAndObjectHeadersAreReadWithoutPanic(f *testing.F) {
	var w deltaWriter
	f.Add([]byte("base"), slices.Clone(w.edit([]byte("base"), object.TreeEdit{At: 1, Remove: 2, Insert: []byte("xyz")})))
	f.Add([]byte(""), []byte("\x00\x80"))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		if size, err := deltaResult(delta); err == nil && size <= 1<<20 {
			if out, err := applyDelta(base, delta); err == nil && int64(len(out)) != size {
				t.Errorf("%d bytes, not %d", len(out), size)
			}
		}
		if e, err := parsePackedEntry(delta, 1000); err == nil && (e.size < 0 || e.data <= 1000 || e.base >= 1000) {
			t.Errorf("%+v", e)
		}
		_, _, _ = inflateLoose(NewEffort(t.Context(), 1<<30), bytes.NewReader(delta), 1<<20)
	})
}

func FuzzPackIndexesAreSearchedWithoutPanic(f *testing.F) {
	whole := encodeIndex([]indexedObject{{object.Hash{1}, 2, 12}, {object.Hash{1, 2}, 3, 40}, {object.Hash{200}, 4, 1 << 33}}, object.Hash{9})
	f.Add(whole, []byte{1, 2})
	f.Add(whole[:1100], []byte{200})
	f.Fuzz(func(t *testing.T, index, id []byte) {
		p := &Pack{fs: disk.OS{}, Stem: "fuzz", index: index}
		if err := p.parseIndexHeader(index, int64(len(index))); err != nil {
			return
		}
		var wanted object.Hash
		copy(wanted[:], id)
		_, _, _ = p.Find(wanted)
	})
}
