package checkout

import (
	"os"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition/folder"
)

// A path is sent as JSON, which has no bytes that are no UTF-8; and no system
// agrees with another on how a file of such a name is opened.
func TestAFileWhoseNameIsNoTextIsNotSent(t *testing.T) {
	texts, others, err := Texts([]folder.File{
		{Name: "db.yaml", Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return []byte("x"), nil }},
		{Name: "d\xff.yaml", Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return nil, os.ErrInvalid }},
	})
	if err != nil || len(texts) != 1 || texts["secrets/db.yaml"] != "x" || len(others) != 1 || others[0] != "d\xff.yaml" {
		t.Errorf("sends %q and not %q: %v", texts, others, err)
	}
}
