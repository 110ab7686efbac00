package object

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// Commit is what we need to know of a commit.
type Commit struct {
	Tree   Hash
	Parent Hash   // the first; zero for a root commit
	Others []Hash // the other parents, of a merge
	Time   time.Time
}

// ParseCommit reads the header of a commit. Dates that make no sense become
// the nearest that does: history holds what people pushed.
func ParseCommit(id Hash, content []byte) (c Commit, err error) {
	malformed := fmt.Errorf("commit %s is malformed: %w", id, ErrCorrupt)
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
			if c.Tree, ok = ParseHash(value); !ok || !first {
				return c, malformed
			}
		case "parent":
			if c.Parent.IsZero() {
				if c.Parent, ok = ParseHash(value); !ok {
					return c, malformed
				}
			} else if other, ok := ParseHash(value); ok {
				c.Others = append(c.Others, other)
			}
		case "committer":
			if c.Tree.IsZero() {
				return c, malformed
			}
			_, c.Time = ParseSignature(value)
			return c, nil
		}
	}
}

// ParseSignature reads "name <mail> seconds zone".
func ParseSignature(line []byte) (name string, when time.Time) {
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
