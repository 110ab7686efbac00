package draft

import (
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/message"
)

// Edit is what one commit does: to one file or more, each another one.
type Edit struct {
	Files   []FileEdit
	Message message.Words
}

// FileEdit is what one commit does to one file.
type FileEdit struct {
	Name       definition.Name
	Mode       filemode.FileMode // 0: the file is removed
	Content    []byte
	Definition definition.Definition
	Added      bool
	Subject    string    // of the commit, if this is all it does
	Reverts    *Reverted // that this undoes, with others; nil: none
}

// Reverted is a commit that is undone.
type Reverted struct {
	Commit  catalog.Revision
	Subject string
	Partly  bool // it did more than is undone
}

// By is who makes a commit, and on which request.
type By struct {
	Author, Committer message.Identity
	RequestID         string
}
