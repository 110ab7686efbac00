package message

import (
	"bytes"
	"testing"
	"time"

	"secretsync/gitstore/internal/gitdir/object"
)

var epoch = time.Unix(1_700_000_000, 0)

func FuzzCommitsAreReadWithoutPanic(f *testing.F) {
	somebody := Identity{Name: "A", Email: "a@b"}
	f.Add(Commit{
		Tree: object.Hash{1}, Parent: object.Hash{2}, Author: Author("<>\n", "ak-1", somebody), Committer: somebody,
		Time: TimeAfter(epoch, epoch), Words: Words{Subject: "Add x"}, RequestID: "r\n\nx",
	}.Encode())
	f.Add([]byte("tree \n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := object.ParseCommit(object.Hash{}, content)
		if err == nil {
			if _, err := c.Time.MarshalJSON(); err != nil {
				t.Error(err)
			}
		}
		if _, err := Parse(content).Time.MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzWhatKeysAreCalledCannotForgeACommit(f *testing.F) {
	f.Add("CI", "ak-1", "req-1")
	f.Add("x\nparent 0000", "a> <b", "r\nVia: git")
	f.Add("\xff", "", "\r")
	f.Fuzz(func(t *testing.T, name, id, request string) {
		somebody := Identity{Name: "A", Email: "a@b"}
		content := Commit{
			Tree: object.Hash{1}, Parent: object.Hash{2}, Author: Author(name, id, somebody), Committer: somebody,
			Time: epoch, Words: Words{Subject: "Add x"}, RequestID: request,
		}.Encode()
		c, err := object.ParseCommit(object.Hash{}, content)
		if err != nil || c.Tree != (object.Hash{1}) || c.Parent != (object.Hash{2}) || !c.Time.Equal(epoch) {
			t.Errorf("%+v, %v", c, err)
		}
		if e := Parse(content); e.Subject != "Add x" || !e.Ours || !e.Time.Equal(epoch) {
			t.Errorf("%+v", e)
		}
		if n := bytes.Count(content, []byte("\n")); n > 9 {
			t.Errorf("%d lines:\n%s", n, content)
		}
	})
}
