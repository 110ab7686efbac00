// Package message owns the text of a commit: how ours are written, and what is read
// of a commit that anybody made. It knows bytes alone, no repository.
//
// What it guarantees: nothing that somebody is called, and nothing that a request
// says, can forge a header, a trailer or another author; and no commit, however
// hostile, ends the process.
package message

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"secretsync/gitstore/internal/gitdir/object"
)

// Identity is a person or program as commits name it.
type Identity struct{ Name, Email string }

// Trailers of our commits.
const (
	trailerRequest = "Request-Id"
	// Ours is the trailer of each commit that the API made. Who can push can write it
	// as well.
	Ours = "Via: secretsync api"
)

// Words are what a commit says, beside its trailers.
type Words struct {
	Subject string
	Text    string   // a paragraph below it
	List    []string // what is done, one by one, where the subject can't tell
}

// Commit is one of ours, before it has a name.
type Commit struct {
	Tree, Parent      object.Hash // a zero parent is none
	Author, Committer Identity
	Time              time.Time // to the second
	Words
	RequestID string
}

// Encode makes a commit object.
func (c Commit) Encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", c.Tree)
	if !c.Parent.IsZero() {
		fmt.Fprintf(&b, "parent %s\n", c.Parent)
	}
	stamp := strconv.FormatInt(c.Time.Unix(), 10) + " +0000"
	fmt.Fprintf(&b, "author %s %s\n", c.Author, stamp)
	fmt.Fprintf(&b, "committer %s %s\n\n", c.Committer, stamp)
	b.WriteString(c.Subject)
	b.WriteString("\n\n")
	if c.Text != "" {
		b.WriteString(c.Text + "\n\n")
	}
	for _, line := range c.List {
		b.WriteString("- " + line + "\n")
	}
	if len(c.List) > 0 {
		b.WriteString("\n")
	}
	if c.RequestID != "" {
		fmt.Fprintf(&b, "%s: %s\n", trailerRequest, OneLine(c.RequestID))
	}
	b.WriteString(Ours + "\n")
	return []byte(b.String())
}

// Author returns the identity of an API key: its mail address is made of the key's id
// and the service's host. One without name and id is the service.
func Author(name, id string, committer Identity) Identity {
	if id == "" && name == "" {
		return committer
	}
	if name == "" {
		name = id
	}
	if id == "" {
		id = "unknown"
	}
	_, host, _ := strings.Cut(committer.Email, "@")
	return Identity{Name: name, Email: id + "@" + host}
}

// String writes the identity as commits have it, without what Git reserves.
func (i Identity) String() string {
	name := strings.Trim(OneLine(i.Name), " .,:;\"'\\")
	if name == "" {
		name = "unknown"
	}
	return name + " <" + strings.ReplaceAll(OneLine(i.Email), " ", "") + ">"
}

// OneLine drops what would break a commit's header or trailer.
func OneLine(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if c == '<' || c == '>' || unicode.IsControl(c) {
			return -1
		}
		return c
	}, s))
}

// TimeAfter returns the time of the next commit: not before the one it
// follows, as long as that one's date is halfway true.
func TimeAfter(now, former time.Time) time.Time {
	now = now.UTC().Truncate(time.Second)
	const tolerance = 24 * time.Hour
	if former.After(now) && former.Sub(now) < tolerance {
		return former
	}
	return now
}
