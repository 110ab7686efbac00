package object

import (
	"crypto/sha1" // Git's object names are SHA-1.
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"sync"

	"github.com/pjbgf/sha1cd"
)

// Hash is the name of a Git object.
type Hash [sha1.Size]byte

// IsZero reports whether it names nothing, such as the parent of a root commit.
func (h Hash) IsZero() bool { return h == Hash{} }

// String returns it as 40 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads a name of 40 hexadecimal digits.
func ParseHash(digits []byte) (h Hash, ok bool) {
	if len(digits) != 2*len(h) {
		return h, false
	}
	_, err := hex.Decode(h[:], digits)
	return h, err == nil
}

// Kind is the type of an object as packs number it.
type Kind uint8

func (k Kind) String() string {
	switch k {
	case KindCommit:
		return "commit"
	case KindTree:
		return "tree"
	case KindBlob:
		return "blob"
	case KindTag:
		return "tag"
	}
	return "kind " + strconv.Itoa(int(k))
}

const (
	KindCommit Kind = 1
	KindTree   Kind = 2
	KindBlob   Kind = 3
	KindTag    Kind = 4
)

// KindNamed returns the kind that String gives that name.
func KindNamed(name string) (Kind, bool) {
	for k := KindCommit; k <= KindTag; k++ {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// NameOf returns the name of an object that we make. What others made is
// checked with [Verify].
func NameOf(kind Kind, content []byte) (h Hash) {
	d := sha1.New()
	writeObject(d, kind, content)
	d.Sum(h[:0])
	return h
}

// detectors are hashes that notice when their input was built to collide with
// another.
var detectors = sync.Pool{New: func() any { return sha1cd.New() }}

// Verify fails with [ErrCorrupt] if an object has another name, or if it was
// built to share its name with another object: whoever pushes can try that.
func Verify(id Hash, kind Kind, content []byte) error {
	d := detectors.Get().(sha1cd.CollisionResistantHash)
	defer detectors.Put(d)
	d.Reset()
	writeObject(d, kind, content)
	return verify(id, kind, d)
}

func verify(id Hash, kind Kind, written sha1cd.CollisionResistantHash) error {
	sum, collides := written.CollisionResistantSum(nil)
	if collides {
		return fmt.Errorf("%s %s was built to share its name with another object: %w", kind, id, ErrCorrupt)
	}
	if Hash(sum) != id {
		return fmt.Errorf("%s %s does not match its name: %w", kind, id, ErrCorrupt)
	}
	return nil
}

// writeObject writes what the name of an object is the hash of.
func writeObject(d hash.Hash, kind Kind, content []byte) {
	writeHeader(d, kind, int64(len(content)))
	d.Write(content)
}

func writeHeader(d hash.Hash, kind Kind, size int64) {
	var header [32]byte
	b := append(header[:0], kind.String()...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, size, 10)
	d.Write(append(b, 0))
}

// The kinds of error of an object that can't be read. Match them with errors.Is.
var (
	// ErrCorrupt: it is damaged or malformed.
	ErrCorrupt = errors.New("corrupt")
	// ErrMissing: the repository ought to have it and has not.
	ErrMissing = errors.New("missing")
)

// A Namer works out the names of objects that others made, piece by piece where
// they are large. It is for one goroutine.
type Namer struct{ d sha1cd.CollisionResistantHash }

// NewNamer returns a namer, which names any number of objects in turn.
func NewNamer() *Namer { return &Namer{sha1cd.New().(sha1cd.CollisionResistantHash)} }

// Begin begins an object of that many bytes, which are then written.
func (n *Namer) Begin(kind Kind, size int64) {
	n.d.Reset()
	writeHeader(n.d, kind, size)
}

// Write adds bytes of the object; it never fails.
func (n *Namer) Write(content []byte) (int, error) { return n.d.Write(content) }

// Name returns the name of the object that was written. It fails with
// [ErrCorrupt] if that was built to share its name with another.
func (n *Namer) Name() (Hash, error) {
	sum, collides := n.d.CollisionResistantSum(nil)
	if collides {
		return Hash{}, fmt.Errorf("object %x was built to share its name with another object: %w", sum, ErrCorrupt)
	}
	return Hash(sum), nil
}
