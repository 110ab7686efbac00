package history

import (
	"context"
	"errors"

	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/turns"
)

// Commits are those of one repository, as one task reads them: what it costs, when it
// ends and how it lets others go first is the reader's. It is for one goroutine.
type Commits struct {
	git    *gitdir.Repository
	reader *gitdir.Reader
}

// New returns the commits of a repository, read by the reader.
func New(git *gitdir.Repository, reader *gitdir.Reader) *Commits { return &Commits{git, reader} }

// Of returns the commits of a repository for a task that may cost so much, ends soon
// after ctx and lets others have their turn.
func Of(ctx context.Context, turn *turns.Turn, git *gitdir.Repository, work int64) *Commits {
	reader := git.Reader(ctx, work)
	reader.Between(func() error { return turn.Pass(ctx) })
	return New(git, reader)
}

// Read returns a commit, checked against its name, and what its header says.
func (c *Commits) Read(id object.Hash) (content []byte, commit object.Commit, err error) {
	if content, err = c.reader.ReadVerified(id, object.KindCommit, pack.MaxCommit); err != nil {
		return nil, commit, err
	}
	commit, err = object.ParseCommit(id, content)
	return content, commit, err
}

// Header returns what the header of a commit says. It is not ok where history is cut
// off.
func (c *Commits) Header(id object.Hash) (commit object.Commit, ok bool, err error) {
	_, commit, err = c.Read(id)
	if errors.Is(err, object.ErrMissing) {
		return commit, false, nil // history is shallow
	}
	return commit, err == nil, err
}

// Shallow reports whether history is cut off at a commit, whose parents are not here.
func (c *Commits) Shallow(commit object.Hash) (bool, error) { return c.git.Shallow(commit) }

// Recent returns some commits of the first-parent line of a commit, newest first: it
// and some before, ever further apart. They tell a server what is here, also where
// its branch was moved by force. Damage ends the list.
func (c *Commits) Recent(at object.Hash) (list []object.Hash) {
	const farthest = 256
	for back, mark := 0, 0; !at.IsZero() && back <= farthest; back++ {
		if back == mark {
			list = append(list, at)
			mark = max(mark+1, mark*3/2)
		}
		content, err := c.reader.Read(at, object.KindCommit, pack.MaxCommit)
		if err != nil {
			break
		}
		commit, err := object.ParseCommit(at, content)
		if err != nil {
			break
		}
		at = commit.Parent
	}
	return list
}

type datedCommit struct {
	id object.Hash
	object.Commit
}

// newestFirst is a heap of commits.
type newestFirst []datedCommit

func (n newestFirst) Len() int           { return len(n) }
func (n newestFirst) Less(i, j int) bool { return n[i].Time.After(n[j].Time) }
func (n newestFirst) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }
func (n *newestFirst) Push(c any)        { *n = append(*n, c.(datedCommit)) }

func (n *newestFirst) Pop() any {
	last := (*n)[len(*n)-1]
	*n = (*n)[:len(*n)-1]
	return last
}
