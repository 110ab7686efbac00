package draft

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/message"
)

// mostSubject is the length up to which a subject names every definition.
const mostSubject = 72

// MessageOf says what several edits of one commit do together.
func MessageOf(files []FileEdit) message.Words {
	if u := files[0].Reverts; u != nil && !slices.ContainsFunc(files, func(f FileEdit) bool { return f.Reverts == nil || f.Reverts.Commit != u.Commit }) {
		return messageOfReversal(files)
	}
	if len(files) == 1 {
		return message.Words{Subject: files[0].Subject}
	}
	var m message.Words
	var names [3][]string // added, changed, removed
	for _, f := range files {
		m.List = append(m.List, f.Subject)
		at := 1
		switch {
		case f.Mode == 0:
			at = 2
		case f.Added:
			at = 0
		}
		names[at] = append(names[at], f.Name.String())
	}
	m.Subject = summary(names, enumerate)
	if len(m.Subject) > mostSubject {
		m.Subject = summary(names, func(names []string) string { return strconv.Itoa(len(names)) })
		m.Subject += " definitions"
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

// messageOfReversal says what is undone, as git revert does.
func messageOfReversal(files []FileEdit) message.Words {
	u := files[0].Reverts
	m := message.Words{Subject: fmt.Sprintf("Revert \"%.200s\"", message.OneLine(u.Subject)), Text: fmt.Sprintf("This reverts commit %s", u.Commit)}
	switch {
	case u.Partly && len(files) == 1:
		m.Text += " in " + definition.PathOfFile(files[0].Name.String()+definition.FileSuffix)
	case u.Partly:
		m.Text += fmt.Sprintf(" in %d definitions", len(files))
	}
	m.Text += "."
	return m
}
