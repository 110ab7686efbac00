package gitstore

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
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

// message is what a commit says, beside its trailers.
type message struct {
	subject string
	text    string   // a paragraph below it
	list    []string // what is done, one by one, where the subject can't tell
}

// encodeCommit makes a commit object.
func encodeCommit(tree, parent object.Hash, by Attribution, committer Identity, when time.Time, m message) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	if !parent.IsZero() {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	stamp := strconv.FormatInt(when.Unix(), 10) + " +0000"
	fmt.Fprintf(&b, "author %s %s\n", authorIdentity(by.Author, committer), stamp)
	fmt.Fprintf(&b, "committer %s %s\n\n", committer, stamp)
	b.WriteString(m.subject)
	b.WriteString("\n\n")
	if m.text != "" {
		b.WriteString(m.text + "\n\n")
	}
	for _, line := range m.list {
		b.WriteString("- " + line + "\n")
	}
	if len(m.list) > 0 {
		b.WriteString("\n")
	}
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

func subjectOfPatch(name definition.Name, change definition.Change) string {
	if !change.Names("sync") || len(change.Fields) > 1 {
		return "Change " + strings.Join(change.Fields, ", ") + " of " + name.String()
	}
	switch len(change.Sync) {
	case 0:
		return "Stop syncing " + name.String()
	case 1:
		return "Sync " + name.String() + " to 1 target"
	}
	return fmt.Sprintf("Sync %s to %d targets", name.String(), len(change.Sync))
}

// mostSubject is the length up to which a subject names every definition.
const mostSubject = 72

// messageOf says what several edits of one commit do together.
func messageOf(files []fileEdit) message {
	if u := files[0].reverts; u != nil && !slices.ContainsFunc(files, func(f fileEdit) bool { return f.reverts == nil || f.reverts.commit.Revision != u.commit.Revision }) {
		return messageOfReversal(files)
	}
	if len(files) == 1 {
		return message{subject: files[0].subject}
	}
	var m message
	var names [3][]string // added, changed, removed
	for _, f := range files {
		m.list = append(m.list, f.subject)
		at := 1
		switch {
		case f.mode == 0:
			at = 2
		case f.added:
			at = 0
		}
		names[at] = append(names[at], f.name.String())
	}
	m.subject = summary(names, enumerate)
	if len(m.subject) > mostSubject {
		m.subject = summary(names, func(names []string) string { return strconv.Itoa(len(names)) })
		m.subject += " definitions"
	}
	return m
}

// summary says in one sentence what was added, changed and removed.
func summary(names [3][]string, say func([]string) string) string {
	var parts []string
	for i, verb := range []string{"add", "change", "remove"} {
		if len(names[i]) > 0 {
			parts = append(parts, verb+" "+say(names[i]))
		}
	}
	said := enumerate(parts)
	return strings.ToUpper(said[:1]) + said[1:]
}

// enumerate joins as people do: "a", "a and b", "a, b and c".
func enumerate(parts []string) string {
	last := len(parts) - 1
	if last == 0 {
		return parts[0]
	}
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}
