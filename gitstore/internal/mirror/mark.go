package mirror

import (
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"secretsync/gitstore/internal/gitdir"
)

// A Mark in the folder says of which remote it is a mirror. A folder without it is
// a repository of its own.
type Mark struct {
	URL     string    `json:"url"`
	Branch  string    `json:"branch"`
	Fetched time.Time `json:"fetched"`
	// Empty: the remote had no branch at all, so that having no commit is right.
	Empty bool `json:"empty,omitempty"`
}

const (
	markFile = "mirror"
	// markedAnew is how old the time in the mark may be: it is only shown.
	markedAnew = 5 * time.Minute
)

// ReadMark returns the mark of a folder; a zero one where there is none.
func ReadMark(git *gitdir.Repository) (m Mark, err error) {
	content, err := git.ReadOwn(markFile, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	} else if err != nil {
		return m, err
	}
	if json.Unmarshal(content, &m) != nil || m.URL == "" {
		// Torn by a power cut: that it is there says that this is a mirror.
		m = Mark{URL: "?"}
	}
	return m, nil
}

// WriteMark says in the folder what it is a mirror of. A zero one says that it is
// none.
func WriteMark(git *gitdir.Repository, m Mark) error {
	if m == (Mark{}) {
		return git.RemoveOwn(markFile)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return git.WriteOwn(markFile, text)
}
