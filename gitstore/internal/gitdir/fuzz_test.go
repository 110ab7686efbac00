package gitdir

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

func FuzzTreesAreTakenApartAndComparedWithoutPanic(f *testing.F) {
	one := treeOf("100644", "a.yaml", Hash{1}, "40000", "b", Hash{2}, "100644", "b.yaml", Hash{3})
	f.Add([]byte(one), []byte(treeOf("100644", "a.yaml", Hash{1}, "100644", "b.yaml", Hash{4})), "a.yaml")
	f.Add([]byte(""), []byte(one), "b")
	f.Add([]byte("100644 "), []byte("\x00"), "")
	f.Fuzz(func(t *testing.T, old, new []byte, file string) {
		_, _, _ = Tree(old).Find(file)
		changed := make(map[string]bool)
		err := DiffTrees(old, new, func(name []byte, _, _ TreeEntry) error {
			changed[string(name)] = true
			return nil
		})
		if err != nil {
			return
		}
		// Whatever differs between two trees that can be read is reported.
		before, after := treeMap(old), treeMap(new)
		for n, e := range after {
			if before[n] != e && !changed[n] {
				t.Errorf("%q changed and was not reported", n)
			}
		}
		for n := range before {
			if _, ok := after[n]; !ok && !changed[n] {
				t.Errorf("%q is gone and was not reported", n)
			}
		}
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

// treeMap is the last entry of each name, as what is written last wins.
func treeMap(raw Tree) map[string]string {
	m := make(map[string]string)
	for len(raw) > 0 {
		e, rest, err := raw.Next()
		if err != nil {
			return m
		}
		m[string(e.Name)] += string(raw[:len(raw)-len(rest)])
		raw = rest
	}
	return m
}

func FuzzTreeEditsAreWhatTheirDeltasSay(f *testing.F) {
	f.Add([]byte(treeOf("100644", "a.yaml", Hash{1}, "100644", "c.yaml", Hash{3})), "b.yaml", true)
	f.Add([]byte(treeOf("100644", "a.yaml", Hash{1})), "a.yaml", false)
	f.Fuzz(func(t *testing.T, raw []byte, file string, set bool) {
		if bytes.IndexByte([]byte(file), 0) >= 0 || file == "" {
			return
		}
		change, err := Tree(raw).Remove(file)
		if set {
			change, err = Tree(raw).Set(file, filemode.Regular, Hash{7})
		}
		if err != nil {
			return
		}
		edited := change.Apply(raw)
		e, ok, err := edited.Find(file)
		if err == nil && set && (!ok || e.ID != Hash{7} || e.Mode != filemode.Regular) {
			t.Errorf("%q was set and is %v %+v", file, ok, e)
		}
		if len(raw) == 0 || len(edited) == 0 {
			return // nothing is a delta of nothing
		}
		var w deltaWriter
		if back, err := applyDelta(raw, w.edit(raw, change)); err != nil || !bytes.Equal(back, edited) {
			t.Errorf("the delta does not give the tree back: %v", err)
		}
		found := EditBetween(raw, edited)
		if back, err := applyDelta(raw, w.edit(raw, found)); err != nil || !bytes.Equal(back, edited) || !bytes.Equal(found.Apply(raw), edited) {
			t.Errorf("the edit that is found does not give the tree back: %v", err)
		}
	})
}

func FuzzDeltasAndObjectHeadersAreReadWithoutPanic(f *testing.F) {
	var w deltaWriter
	f.Add([]byte("base"), slices.Clone(w.edit([]byte("base"), TreeEdit{At: 1, Remove: 2, Insert: []byte("xyz")})))
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
		_, _, _ = inflateLoose(t.Context(), bytes.NewReader(delta), 1<<20, func(int64) error { return nil })
	})
}

func FuzzPackIndexesAreSearchedWithoutPanic(f *testing.F) {
	whole := encodeIndex([]indexedObject{{Hash{1}, 2, 12}, {Hash{1, 2}, 3, 40}, {Hash{200}, 4, 1 << 33}}, Hash{9})
	f.Add(whole, []byte{1, 2})
	f.Add(whole[:1100], []byte{200})
	f.Fuzz(func(t *testing.T, index, id []byte) {
		p := &pack{fs: Disk{}, stem: "fuzz", index: index}
		if err := p.parseIndexHeader(index, int64(len(index))); err != nil {
			return
		}
		var wanted Hash
		copy(wanted[:], id)
		_, _, _ = p.find(wanted)
	})
}

// treeOf makes a raw tree of mode, name and object in turn.
func treeOf(lines ...any) string {
	var b strings.Builder
	for i := 0; i < len(lines); i += 3 {
		id := lines[i+2].(Hash)
		fmt.Fprintf(&b, "%s %s\x00%s", lines[i], lines[i+1], id[:])
	}
	return b.String()
}

// Whatever stands in a repository's configuration, it is read or refused.
func FuzzConfiguration(f *testing.F) {
	for _, seed := range []string{
		"[core]\n\tbare = true\n", forcePushRefused, "[core] repositoryFormatVersion = 1 ; x\n[extensions \"a\"] b\n",
		"[core]\n\tsharedRepository = 0660\n\tlogAllRefUpdates = always\n", "\ufeff[a \"]\\\"\"] b = \"c\\\n[d]\n", "[[", "[core]\\\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		s := &settings{}
		if err := s.parse(content, true); err != nil {
			return
		}
		again := &settings{}
		if err := again.parse(splitHeaders(content), true); err != nil || *again != *s {
			t.Errorf("another time: %v, %+v, not %+v", err, again, s)
		}
		if mode := s.sharing.of(0o644); mode&0o600 != 0o600 {
			t.Errorf("the owner is kept out: %v", mode)
		}
	})
}
