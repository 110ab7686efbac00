package gitstore

import (
	"bytes"
	"testing"

	"secretsync/gitstore/internal/gitdir/object"
)

func FuzzCommitsAreReadWithoutPanic(f *testing.F) {
	somebody := Identity{Name: "A", Email: "a@b"}
	f.Add(encodeCommit(object.Hash{1}, object.Hash{2}, Attribution{Author: Author{Name: "<>\n", ID: "ak-1"}, RequestID: "r\n\nx"}, somebody, commitTime(epoch, epoch), message{subject: "Add x"}))
	f.Add([]byte("tree \n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := object.ParseCommit(object.Hash{}, content)
		if err == nil {
			if _, err := c.Time.MarshalJSON(); err != nil {
				t.Error(err)
			}
		}
		if _, err := parseEvent(object.Hash{1}, content).Time.MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzWhatKeysAreCalledCannotForgeACommit(f *testing.F) {
	f.Add("CI", "ak-1", "req-1")
	f.Add("x\nparent 0000", "a> <b", "r\nVia: git")
	f.Add("\xff", "", "\r")
	f.Fuzz(func(t *testing.T, name, id, request string) {
		by := Attribution{Author: Author{Name: name, ID: id}, RequestID: request}
		content := encodeCommit(object.Hash{1}, object.Hash{2}, by, Identity{Name: "A", Email: "a@b"}, epoch, message{subject: "Add x"})
		c, err := object.ParseCommit(object.Hash{}, content)
		if err != nil || c.Tree != (object.Hash{1}) || c.Parent != (object.Hash{2}) || !c.Time.Equal(epoch) {
			t.Errorf("%+v, %v", c, err)
		}
		if e := parseEvent(object.Hash{3}, content); e.Message != "Add x" || e.Via != ViaAPI || !e.Time.Equal(epoch) {
			t.Errorf("%+v", e)
		}
		if n := bytes.Count(content, []byte("\n")); n > 9 {
			t.Errorf("%d lines:\n%s", n, content)
		}
	})
}
