package gitstore

import (
	"bytes"
	"slices"
	"testing"
)

func FuzzTreesAreTakenApartAndComparedWithoutPanic(f *testing.F) {
	one := rawTree("100644", "a.yaml", hash{1}, "40000", "b", hash{2}, "100644", "b.yaml", hash{3})
	f.Add([]byte(one), []byte(rawTree("100644", "a.yaml", hash{1}, "100644", "b.yaml", hash{4})), "a.yaml")
	f.Add([]byte(""), []byte(one), "b")
	f.Add([]byte("100644 "), []byte("\x00"), "")
	f.Fuzz(func(t *testing.T, old, new []byte, file string) {
		_, _, _, _, _ = findInTree(old, file)
		changed := make(map[string]bool)
		err := diffTrees(old, new, func(name []byte, _, _ treeEntry) { changed[string(name)] = true })
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
		if back, err := applyDelta(old, delta, maxObject); err != nil || !bytes.Equal(back, new) {
			t.Errorf("the delta does not give the tree back: %v", err)
		}
	})
}

// treeMap is the last entry of each name, as what is written last wins.
func treeMap(raw []byte) map[string]string {
	m := make(map[string]string)
	for len(raw) > 0 {
		e, size, err := nextTreeEntry(raw)
		if err != nil {
			return m
		}
		m[string(e.name)] += string(raw[:size])
		raw = raw[size:]
	}
	return m
}

func FuzzTreeEditsAreWhatTheirDeltasSay(f *testing.F) {
	f.Add([]byte(rawTree("100644", "a.yaml", hash{1}, "100644", "c.yaml", hash{3})), "b.yaml", true)
	f.Add([]byte(rawTree("100644", "a.yaml", hash{1})), "a.yaml", false)
	f.Fuzz(func(t *testing.T, raw []byte, file string, set bool) {
		if bytes.IndexByte([]byte(file), 0) >= 0 || file == "" {
			return
		}
		change, err := removeFromTree(raw, file)
		if set {
			change, err = setInTree(raw, file, modeFile, hash{7})
		}
		if err != nil {
			return
		}
		edited := change.apply(raw)
		e, _, _, ok, err := findInTree(edited, file)
		if err == nil && set && (!ok || e.id != hash{7} || e.mode != modeFile) {
			t.Errorf("%q was set and is %v %+v", file, ok, e)
		}
		if len(raw) == 0 || len(edited) == 0 {
			return // nothing is a delta of nothing
		}
		var w deltaWriter
		if back, err := applyDelta(raw, w.edit(raw, change), maxObject); err != nil || !bytes.Equal(back, edited) {
			t.Errorf("the delta does not give the tree back: %v", err)
		}
	})
}

func FuzzDeltasAndObjectHeadersAreReadWithoutPanic(f *testing.F) {
	var w deltaWriter
	f.Add([]byte("base"), slices.Clone(w.edit([]byte("base"), byteEdit{at: 1, remove: 2, insert: []byte("xyz")})))
	f.Add([]byte(""), []byte("\x00\x80"))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		if out, err := applyDelta(base, delta, 1<<20); err == nil && len(out) > 1<<20 {
			t.Errorf("%d bytes", len(out))
		}
		if e, err := parsePackedEntry(delta, 1000); err == nil && (e.size < 0 || e.data <= 1000 || e.base >= 1000) {
			t.Errorf("%+v", e)
		}
		_, _, _ = inflateLoose(bytes.NewReader(delta), 1<<20)
	})
}

func FuzzCommitsAreReadWithoutPanic(f *testing.F) {
	somebody := Identity{Name: "A", Email: "a@b"}
	f.Add(encodeCommit(hash{1}, hash{2}, Commit{Author: Author{Name: "<>\n", ID: "ak-1"}, RequestID: "r\n\nx"}, somebody, commitTime(epoch, epoch), "Add x"))
	f.Add([]byte("tree \n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := parseCommit(hash{}, content)
		if err == nil {
			if _, err := c.time.MarshalJSON(); err != nil {
				t.Error(err)
			}
		}
		if _, err := parseEvent(hash{1}, content).Time.MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzWhatKeysAreCalledCannotForgeACommit(f *testing.F) {
	f.Add("CI", "ak-1", "req-1")
	f.Add("x\nparent 0000", "a> <b", "r\nVia: git")
	f.Add("\xff", "", "\r")
	f.Fuzz(func(t *testing.T, name, id, request string) {
		by := Commit{Author: Author{Name: name, ID: id}, RequestID: request}
		content := encodeCommit(hash{1}, hash{2}, by, Identity{Name: "A", Email: "a@b"}, epoch, "Add x")
		c, err := parseCommit(hash{}, content)
		if err != nil || c.tree != (hash{1}) || c.parent != (hash{2}) || !c.time.Equal(epoch) {
			t.Errorf("%+v, %v", c, err)
		}
		if e := parseEvent(hash{3}, content); e.Message != "Add x" || e.Via != ViaAPI || !e.Time.Equal(epoch) {
			t.Errorf("%+v", e)
		}
		if n := bytes.Count(content, []byte("\n")); n > 9 {
			t.Errorf("%d lines:\n%s", n, content)
		}
	})
}

func FuzzPackIndexesAreSearchedWithoutPanic(f *testing.F) {
	whole := encodeIndex([]indexedObject{{hash{1}, 2, 12}, {hash{1, 2}, 3, 40}, {hash{200}, 4, 1 << 33}}, hash{9})
	f.Add(whole, []byte{1, 2})
	f.Add(whole[:1100], []byte{200})
	f.Fuzz(func(t *testing.T, index, id []byte) {
		p := &pack{fs: disk{}, base: "fuzz", index: index}
		if err := p.parseIndexHeader(index, int64(len(index))); err != nil {
			return
		}
		var wanted hash
		copy(wanted[:], id)
		_, _, _ = p.find(wanted)
	})
}
