package gitstore

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// Who may write to a repository's files, or push by force, can drop commits that
// were answered. That is as the new HEAD says, which is the truth, but not
// without a word: a warning and a counter always, and a problem where a commit of
// the API was dropped or a definition went. The problem stays till the commits
// are back in the history of the branch, or for keptDrop. It outlives a restart,
// in a file of ours.
//
// What happens while no process is up is noticed by comparison with the cached
// index. After a kill that may be a little older than what was answered last.

// A drop is one move of the branch to where some of its commits are not.
type drop struct {
	Branch   string    `json:"branch"`
	From     string    `json:"from"`
	To       string    `json:"to"` // of zeros: the branch was deleted
	Time     time.Time `json:"time"`
	Commits  int       `json:"commits"`            // that were dropped
	Partial  bool      `json:"partial,omitempty"`  // there may be more
	Answered int       `json:"answered,omitempty"` // of them, made by the API
	Named    []string  `json:"named,omitempty"`    // some of those
	Gone     []string  `json:"gone,omitempty"`     // some of the definitions that went
	GoneAll  int       `json:"goneAll,omitempty"`
}

const (
	droppedFile = "dropped"
	// keptDrop is how long a problem stays that nobody mends.
	keptDrop = 7 * 24 * time.Hour
	// mostDrops bounds how many are remembered: the newest.
	mostDrops = 10
)

// sentence says what was dropped and how to have it back.
func (d drop) sentence() string {
	count := fmt.Sprint(d.Commits)
	if d.Partial {
		count = "at least " + count
	}
	text := fmt.Sprintf("history of branch %s was rewritten at %s: %s commits were dropped", quoteBranch(d.Branch), d.Time.Format(time.RFC3339), count)
	asIs := func(s string) string { return s }
	if d.Answered > 0 {
		text += fmt.Sprintf(", %d of them made by the API (%s)", d.Answered, listed(d.Named, d.Answered, asIs))
	}
	if d.GoneAll > 0 {
		text += fmt.Sprintf("; definitions that went: %s", listed(d.Gone, d.GoneAll, asIs))
	}
	return text + fmt.Sprintf("; to have them back, merge commit %s and push; this is told till then, or for %d days", d.From, int(keptDrop.Hours()/24))
}

// noteDrop takes note that the branch has moved from one state to another that
// does not continue it. What is on the branch and not in force was not dropped.
func (r *Repository) noteDrop(ctx context.Context, turn *turn, from, to *state) {
	p, err := findDropped(ctx, turn, r.git.Reader(ctx, workPerAnswer), from.head, r.tip)
	if err != nil {
		r.log.Warn("what was dropped by force can't be told", "tenant", r.tenant.s, "from", from.head, "to", r.tip, "error", err)
	} else if p.commits == 0 && !p.partial {
		return // merged, in another order of parents, or not in force
	}
	d := drop{
		Branch: r.settings.Branch.s, From: from.head.String(), To: r.tip.String(), Time: r.clock.Now().UTC().Truncate(time.Second),
		Commits: p.commits, Partial: p.partial, Answered: p.answered,
	}
	for _, e := range p.named {
		d.Named = append(d.Named, fmt.Sprintf("%.12s %.80q", e.Revision, e.Message))
	}
	for _, change := range Diff(from.snapshot, to.snapshot) {
		if change.New == nil {
			if d.GoneAll++; d.GoneAll <= mostNamed {
				d.Gone = append(d.Gone, change.Name.String())
			}
		}
	}
	r.metrics.rewrites.Inc()
	r.metrics.dropped.Add(float64(d.Answered))
	r.log.Warn("history was rewritten by force", "tenant", r.tenant.s, "branch", d.Branch, "from", d.From, "to", d.To,
		"commits", d.Commits, "answered", d.Answered, "named", d.Named, "definitions", d.Gone)
	if d.Answered == 0 && d.GoneAll == 0 {
		return
	}
	for _, known := range r.drops {
		if known.From == d.From && known.To == d.To {
			return // noticed before the last start
		}
	}
	r.drops = append(r.drops, d)
	r.drops = r.drops[max(0, len(r.drops)-mostDrops):]
	r.saveDrops()
}

// restoreDrops brings back what was told before the start.
func (r *Repository) restoreDrops() {
	content, err := r.git.ReadOwn(droppedFile, 1<<20)
	if err == nil {
		err = json.Unmarshal(content, &r.drops)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.drops = nil // in part, perhaps
		r.log.Warn("what was dropped before the start can't be told", "tenant", r.tenant.s, "error", err)
	}
	r.tellDrops()
	r.reviewDrops(context.Background(), false) // of dates alone
}

func (r *Repository) saveDrops() {
	text, err := json.Marshal(r.drops)
	if err == nil {
		err = r.git.WriteOwn(droppedFile, text)
	}
	if err != nil {
		r.log.Warn("what was dropped will not be told after a restart", "tenant", r.tenant.s, "error", err)
	}
	r.tellDrops()
}

func (r *Repository) tellDrops() {
	var sentences []string
	for _, d := range r.drops {
		sentences = append(sentences, d.sentence())
	}
	r.problems.set(r, rewriteProblem, sentences...)
}

// reviewDrops forgets the drops that are over: mended, which only a move of the
// branch can do, or told for long enough.
func (r *Repository) reviewDrops(ctx context.Context, moved bool) {
	var kept []drop
	for _, d := range r.drops {
		if r.clock.Since(d.Time) < keptDrop && !(moved && r.mended(ctx, d)) {
			kept = append(kept, d)
		}
	}
	if len(kept) < len(r.drops) {
		r.drops = kept
		r.saveDrops()
	}
}

// mended reports whether what was dropped is in the history again.
func (r *Repository) mended(ctx context.Context, d drop) bool {
	from, ok := object.ParseHash([]byte(d.From))
	if !ok || r.tip.IsZero() || d.Branch != r.settings.Branch.s {
		return false
	}
	p, err := findDropped(ctx, nil, r.git.Reader(ctx, workPerAnswer), from, r.tip)
	return err == nil && p.commits == 0 && !p.partial
}

// droppedCommits are the commits that one commit has in its history and another
// hasn't.
type droppedCommits struct {
	commits  int
	answered int     // of them, made by the API
	named    []Event // some of those, newest first
	partial  bool    // there may be more of them, or fewer
}

const (
	// mostCompared bounds the commits that are read to find what was dropped.
	mostCompared = 20_000
	// skewed is how many commits more are looked at than their dates ask for:
	// dates may be wrong.
	skewed = 64
)

// findDropped goes down from both commits, newest first, and marks each commit
// with whose history it is in, till all that is left to look at is in that of
// the new one. What it found till it failed counts. For A dropped, M in both:
//
//	old  A ─ A ─┐
//	            M ─ M ─ …     each A is in old's history alone
//	new  N ─ N ─┘
func findDropped(ctx context.Context, turn *turn, reader *gitdir.Reader, old, new object.Hash) (found droppedCommits, err error) {
	const ofOld, ofNew = 1, 2
	marks := make(map[object.Hash]int)
	events := make(map[object.Hash]*Event) // of the commits that the API made, in old's history
	var order []object.Hash                // of old's history, newest first
	var queue commitQueue
	waiting := make(map[object.Hash]bool) // in the queue
	alone := 0                            // in the queue, in old's history alone as far as known
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
		content, err := reader.ReadVerified(id, object.KindCommit, pack.MaxObject)
		if errors.Is(err, object.ErrMissing) {
			found.partial = true // gone by now, or history is shallow
			return nil
		} else if err != nil {
			return err
		}
		c, err := object.ParseCommit(id, content)
		if err != nil {
			return err
		}
		if marks[id] == ofOld {
			alone++
			if bytes.Contains(content, []byte(trailerVia+": "+viaAPI)) {
				if e := parseEvent(id, content); e.Via == ViaAPI {
					events[id] = &e
				}
			}
		}
		heap.Push(&queue, queuedCommit{id, c})
		waiting[id] = true
		return nil
	}
	err = meet(old, ofOld)
	if err == nil && !new.IsZero() {
		err = meet(new, ofNew)
	}
	for extra, read := 0, 0; err == nil && queue.Len() > 0 && (alone > 0 || extra < skewed); read++ {
		if read == mostCompared {
			found.partial = true
			break
		}
		if err = turn.pass(ctx); err != nil {
			break
		}
		c := heap.Pop(&queue).(queuedCommit)
		delete(waiting, c.id)
		mark := marks[c.id]
		if alone == 0 {
			extra++
		}
		if mark == ofOld {
			alone--
			order = append(order, c.id)
		}
		for _, parent := range append([]object.Hash{c.Parent}, c.Others...) {
			if err == nil && !parent.IsZero() {
				err = meet(parent, mark)
			}
		}
	}
	for _, id := range order {
		if marks[id] != ofOld {
			continue
		}
		found.commits++
		if e := events[id]; e != nil {
			if found.answered++; len(found.named) < mostNamed {
				found.named = append(found.named, *e)
			}
		}
	}
	found.partial = found.partial || err != nil
	return found, err
}

type queuedCommit struct {
	id object.Hash
	object.Commit
}

// commitQueue is a heap of commits, newest first.
type commitQueue []queuedCommit

func (q commitQueue) Len() int           { return len(q) }
func (q commitQueue) Less(i, j int) bool { return q[i].Time.After(q[j].Time) }
func (q commitQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *commitQueue) Push(c any)        { *q = append(*q, c.(queuedCommit)) }

func (q *commitQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
