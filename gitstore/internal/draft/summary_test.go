package draft

import (
	"fmt"
	"testing"

	"secretsync/gitstore/definition"
)

func TestMessagesOfSeveralEdits(t *testing.T) {
	named := func(s string) definition.Name {
		n, err := definition.ParseName(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	edits := func(added, changed, removed int) (files []FileEdit) {
		for i := range added {
			files = append(files, FileEdit{Name: named(fmt.Sprintf("new-%d", i)), Mode: 1, Added: true})
		}
		for i := range changed {
			files = append(files, FileEdit{Name: named(fmt.Sprintf("old-%d", i)), Mode: 1})
		}
		for i := range removed {
			files = append(files, FileEdit{Name: named(fmt.Sprintf("gone-%d", i))})
		}
		return files
	}
	for want, files := range map[string][]FileEdit{
		"Add new-0 and new-1":                                 edits(2, 0, 0),
		"Change old-0, old-1 and old-2":                       edits(0, 3, 0),
		"Add new-0 and remove gone-0":                         edits(1, 0, 1),
		"Add 5, change 60 and remove 35 definitions":          edits(5, 60, 35),
		"Remove 20 definitions":                               edits(0, 0, 20),
		"Add new-0, change old-0 and old-1 and remove gone-0": edits(1, 2, 1),
	} {
		if got := MessageOf(files).Subject; got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}
