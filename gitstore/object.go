package gitstore

import (
	"bytes"
	"crypto/sha1" // Git's object names are SHA-1.
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// hash is the name of a Git object.
type hash [sha1.Size]byte

func (h hash) isZero() bool   { return h == hash{} }
func (h hash) String() string { return hex.EncodeToString(h[:]) }

func (h hash) revision() Revision {
	if h.isZero() {
		return Revision{}
	}
	return Revision{text{h.String()}}
}

func (r Revision) hash() hash {
	h, _ := parseHash([]byte(r.s))
	return h
}

func parseHash(digits []byte) (h hash, ok bool) {
	if len(digits) != 2*len(h) {
		return h, false
	}
	_, err := hex.Decode(h[:], digits)
	return h, err == nil
}

// objectKind is the type of an object as packs number it.
type objectKind uint8

const (
	kindCommit objectKind = 1
	kindTree   objectKind = 2
	kindBlob   objectKind = 3
	kindTag    objectKind = 4

	kindOffsetDelta objectKind = 6 // base in the same pack, so many bytes before
	kindRefDelta    objectKind = 7 // base given by name
)

func (k objectKind) String() string {
	switch k {
	case kindCommit:
		return "commit"
	case kindTree:
		return "tree"
	case kindBlob:
		return "blob"
	case kindTag:
		return "tag"
	}
	return "kind " + strconv.Itoa(int(k))
}

func kindNamed(name string) (objectKind, bool) {
	for k := kindCommit; k <= kindTag; k++ {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// hashObject returns the name of an object.
func hashObject(kind objectKind, content []byte) (h hash) {
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

// errCorrupt is what a damaged or malformed object matches; errMissing one
// that a repository ought to have and has not; errTooLarge one that is left
// unread because of its size.
var (
	errCorrupt  = errors.New("corrupt")
	errMissing  = errors.New("missing")
	errTooLarge = errors.New("too large")
)

// commit is what we need to know of a commit.
type commit struct {
	tree   hash
	parent hash // the first; zero for a root commit
	time   time.Time
}

// parseCommit reads the header of a commit. Dates that make no sense become
// the nearest that does: history holds what people pushed.
func parseCommit(id hash, content []byte) (c commit, err error) {
	malformed := fmt.Errorf("commit %s is malformed: %w", id, errCorrupt)
	rest := content
	for first := true; ; first = false {
		line, more, ok := bytes.Cut(rest, []byte("\n"))
		if !ok || len(line) == 0 {
			return c, malformed
		}
		rest = more
		field, value, _ := bytes.Cut(line, []byte(" "))
		switch string(field) {
		case "tree":
			if c.tree, ok = parseHash(value); !ok || !first {
				return c, malformed
			}
		case "parent":
			if c.parent.isZero() {
				if c.parent, ok = parseHash(value); !ok {
					return c, malformed
				}
			}
		case "committer":
			if c.tree.isZero() {
				return c, malformed
			}
			_, c.time = parseSignature(value)
			return c, nil
		}
	}
}

// parseSignature reads "name <mail> seconds zone".
func parseSignature(line []byte) (name string, when time.Time) {
	end := bytes.LastIndexByte(line, '>')
	if end < 0 {
		return string(bytes.ToValidUTF8(line, nil)), time.Unix(0, 0).UTC()
	}
	person := line[:end]
	if open := bytes.LastIndexByte(person, '<'); open >= 0 {
		person = person[:open]
	}
	name = string(bytes.ToValidUTF8(bytes.TrimSpace(person), nil))
	var seconds int64
	if fields := bytes.Fields(line[end+1:]); len(fields) > 0 {
		seconds, _ = strconv.ParseInt(string(fields[0]), 10, 64)
	}
	const year9999 = 253402300799 // the last second that RFC 3339 can write
	return name, time.Unix(min(max(seconds, 0), year9999), 0).UTC()
}
