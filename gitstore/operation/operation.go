package operation

import (
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/edit"
)

// Operation is one change of one definition. It is made by [gitstore.Repository.Apply].
type Operation struct {
	kind       operationKind
	name       definition.Name
	pre        Precondition
	definition definition.Definition // of a creation
	content    []byte                // the same as a file
	change     definition.Change     // of a patch
	undone     *Undone               // of a restoration; definition is what stands then
}

type operationKind int

const (
	creation operationKind = iota
	patch
	deletion
	restoration
)

// verbs are how an operation of each kind is named in a message.
var verbs = map[operationKind]string{creation: "create", patch: "patch", deletion: "delete", restoration: "revert"}

// Creation adds a definition. It fails with [gitstore.ErrExists] if there is a file of
// that name, and with [gitstore.ErrLimit] at the greatest number of definitions or where its file
// would be larger than [definition.MaxFileSize].
func Creation(d definition.Definition) Operation {
	return Operation{kind: creation, name: d.Name, definition: d, content: edit.Encode(d)}
}

// PatchOf changes fields of a definition; where they say that already, it changes
// nothing. It fails with [gitstore.ErrNotFound], with [gitstore.ErrPrecondition], with
// [gitstore.ErrConflict] if the file at HEAD is not valid, and with
// [definition.ErrInvalid] if what comes of it breaks a rule of the format.
func PatchOf(name definition.Name, pre Precondition, change definition.Change) Operation {
	return Operation{kind: patch, name: name, pre: pre, change: change}
}

// Deletion removes a definition, valid or not. It fails with [gitstore.ErrNotFound] and
// [gitstore.ErrPrecondition].
func Deletion(name definition.Name, pre Precondition) Operation {
	return Operation{kind: deletion, name: name, pre: pre}
}

// removes reports whether there is one definition less afterwards, if it is there.
func (o *Operation) removes() bool {
	return o.kind == deletion || o.kind == restoration && o.undone.Before.Mode == 0
}

// Undone is what a commit did to one file, and what stood there before.
type Undone struct {
	Commit     catalog.Revision
	Subject    string                // of the commit
	Partly     bool                  // the commit did more than is undone
	Left       catalog.Stored        // as the commit left the file
	Before     catalog.Stored        // as it is put back
	Content    []byte                // of Before
	Definition definition.Definition // that Content says
}

// Restoration puts a definition's file back, byte for byte, as it stood before a commit:
//
//	the file at HEAD           what becomes of it
//	as the commit left it      is put back
//	as it was before           nothing: that is undone
//	anything else              the conflict is told, nothing is done
//
// Git would merge the third case line by line and may be right; a definition is
// short, and who reads what became of it decides better. It fails with
// [gitstore.ErrPrecondition], where pre may be [Absent], and with [gitstore.ErrConflict].
func Restoration(name definition.Name, pre Precondition, u Undone) Operation {
	return Operation{kind: restoration, name: name, pre: pre, undone: &u, definition: u.Definition}
}
