package gitstore

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir"
)

// Identity is a person or program as commits name it.
type Identity struct{ Name, Email string }

// Author is the API key in whose name something is written.
type Author struct {
	Name string // for people, such as "CI of payments"
	ID   string // of the key, such as "ak-4f2k"
}

// Attribution says by whom and on which request one write is made.
type Attribution struct {
	Author    Author
	RequestID string
}

// Trailers of our commit messages.
const (
	trailerRequest = "Request-Id"
	trailerVia     = "Via"
	viaAPI         = "secretsync api"
)

// encodeCommit makes a commit object.
func encodeCommit(tree, parent gitdir.Hash, by Attribution, committer Identity, when time.Time, subject string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	if !parent.IsZero() {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	stamp := strconv.FormatInt(when.Unix(), 10) + " +0000"
	fmt.Fprintf(&b, "author %s %s\n", authorIdentity(by.Author, committer), stamp)
	fmt.Fprintf(&b, "committer %s %s\n\n", committer, stamp)
	b.WriteString(subject)
	b.WriteString("\n\n")
	if by.RequestID != "" {
		fmt.Fprintf(&b, "%s: %s\n", trailerRequest, oneLine(by.RequestID))
	}
	fmt.Fprintf(&b, "%s: %s\n", trailerVia, viaAPI)
	return []byte(b.String())
}

// authorIdentity makes the mail address of the key's id and the service's host.
func authorIdentity(a Author, committer Identity) Identity {
	if a.ID == "" && a.Name == "" {
		return committer
	}
	if a.Name == "" {
		a.Name = a.ID
	}
	if a.ID == "" {
		a.ID = "unknown"
	}
	_, host, _ := strings.Cut(committer.Email, "@")
	return Identity{Name: a.Name, Email: a.ID + "@" + host}
}

// String writes the identity as commits have it, without what Git reserves.
func (i Identity) String() string {
	name := strings.Trim(oneLine(i.Name), " .,:;\"'\\")
	if name == "" {
		name = "unknown"
	}
	return name + " <" + strings.ReplaceAll(oneLine(i.Email), " ", "") + ">"
}

// oneLine drops what would break a commit's header or trailer.
func oneLine(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if c == '<' || c == '>' || unicode.IsControl(c) {
			return -1
		}
		return c
	}, s))
}

// commitTime returns the time of the next commit: not before the one it
// follows, as long as that one's date is halfway true.
func commitTime(now, former time.Time) time.Time {
	now = now.UTC().Truncate(time.Second)
	const tolerance = 24 * time.Hour
	if former.After(now) && former.Sub(now) < tolerance {
		return former
	}
	return now
}

func subjectOfPatch(name definition.Name, sync []definition.Target) string {
	switch len(sync) {
	case 0:
		return "Stop syncing " + name.String()
	case 1:
		return "Sync " + name.String() + " to 1 target"
	}
	return fmt.Sprintf("Sync %s to %d targets", name.String(), len(sync))
}
