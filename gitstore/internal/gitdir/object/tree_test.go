package object

import (
	"bytes"
	"fmt"
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

func FuzzTreeEditsDoWhatTheySay(f *testing.F) {
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
