package gitdir

import (
	"crypto/sha1" // Git's object names are SHA-1.
	"encoding/hex"
	"errors"
	"strconv"
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

	kindOffsetDelta Kind = 6 // base in the same pack, so many bytes before
	kindRefDelta    Kind = 7 // base given by name
)

func kindNamed(name string) (Kind, bool) {
	for k := KindCommit; k <= KindTag; k++ {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// hashObject returns the name of an object.
func hashObject(kind Kind, content []byte) (h Hash) {
	d := sha1.New()
	var header [32]byte
	b := append(header[:0], kind.String()...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(content)), 10)
	d.Write(append(b, 0))
	d.Write(content)
	d.Sum(h[:0])
	return h
}

// The kinds of error of an object that can't be read. Match them with errors.Is.
var (
	// ErrCorrupt: it is damaged or malformed.
	ErrCorrupt = errors.New("corrupt")
	// ErrMissing: the repository ought to have it and has not.
	ErrMissing = errors.New("missing")
	// ErrTooLarge: it is left unread because of its size.
	ErrTooLarge = errors.New("too large")
)
