package history

import (
	"container/heap"
	"errors"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/message"
)

// Missing are the commits that one commit has in its history and another hasn't.
type Missing struct {
	Commits int
	Ours    int     // of them, made by the API
	Named   []Named // some of those, newest first
	Partial bool    // there may be more of them, or fewer
}

// Named is a commit as people are told of it.
type Named struct {
	ID      object.Hash
	Subject string
}

// None reports whether none is missing, for certain.
func (m Missing) None() bool { return m.Commits == 0 && !m.Partial }

const (
	// mostCompared bounds the commits that are read to find what was dropped.
	mostCompared = 20_000
	// skewed is how many commits more are looked at than their dates ask for:
	// dates may be wrong.
	skewed = 64
	// mostNamed is how many are named at most.
	mostNamed = 10
)

// Missing finds what one commit has in its history and another, which may be zero,
// hasn't. It goes down from both, newest first, and marks each commit with whose history it is in, till all that is left to look at is in that of
// the new one. What it found till it failed counts. For A dropped, M in both:
//
//	old  A ─ A ─┐
//	            M ─ M ─ …     each A is in old's history alone
//	new  N ─ N ─┘
func (c *Commits) Missing(old, new object.Hash) (found Missing, err error) {
	const ofOld, ofNew = 1, 2
	marks := make(map[object.Hash]int)
	ours := make(map[object.Hash]Named) // that the API made, in old's history
	var order []object.Hash             // of old's history, newest first
	var open newestFirst
	waiting := make(map[object.Hash]bool) // in open
	alone := 0                            // of open, in old's history alone as far as known
	meet := func(id object.Hash, mark int) error {
		before, seen := marks[id]
		if before|mark == before && seen {
			return nil
		}
		marks[id] = before | mark
		if waiting[id] {
			if before == ofOld {
				alone--
			}
			return nil
		}
		content, err := c.reader.ReadVerified(id, object.KindCommit, pack.MaxObject)
		if errors.Is(err, object.ErrMissing) {
			found.Partial = true // gone by now, or history is shallow
			return nil
		} else if err != nil {
			return err
		}
		commit, err := object.ParseCommit(id, content)
		if err != nil {
			return err
		}
		if marks[id] == ofOld {
			alone++
			if message.MayBeOurs(content) {
				if h := message.Parse(content); h.Ours {
					ours[id] = Named{id, h.Subject}
				}
			}
		}
		heap.Push(&open, datedCommit{id, commit})
		waiting[id] = true
		return nil
	}
	err = meet(old, ofOld)
	if err == nil && !new.IsZero() {
		err = meet(new, ofNew)
	}
	for extra, read := 0, 0; err == nil && open.Len() > 0 && (alone > 0 || extra < skewed); read++ {
		if read == mostCompared {
			found.Partial = true
			break
		}
		at := heap.Pop(&open).(datedCommit)
		delete(waiting, at.id)
		mark := marks[at.id]
		if alone == 0 {
			extra++
		}
		if mark == ofOld {
			alone--
			order = append(order, at.id)
		}
		for _, parent := range append([]object.Hash{at.Parent}, at.Others...) {
			if err == nil && !parent.IsZero() {
				err = meet(parent, mark)
			}
		}
	}
	for _, id := range order {
		if marks[id] != ofOld {
			continue
		}
		found.Commits++
		if named, ok := ours[id]; ok {
			if found.Ours++; len(found.Named) < mostNamed {
				found.Named = append(found.Named, named)
			}
		}
	}
	found.Partial = found.Partial || err != nil
	return found, err
}
