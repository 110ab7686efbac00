package gitstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"secretsync/gitstore/internal/gitdir/object"
)

// lineage remembers which commits changed which file, from the first time that
// somebody asks until nobody has asked for a while. What it lacks of the branch
// is found by one walk at a time, which belongs to the repository: who asked
// waits for it as long as he likes, and the next one finds what has come of it.
//
//	            asked             walk ends        nobody asks    asked, HEAD is where it failed
//	nothing     walk from HEAD    -                -              -
//	walking     wait for it       up to date       -              -
//	up to date  answer, or walk   -                nothing        -
//	            from HEAD to it
//	failed      walk again        (see walking)    nothing        till a pause is over: the failure
type lineage struct {
	mu      sync.Mutex
	head    object.Hash
	commits []object.Hash       // oldest first
	files   map[string][]uint32 // by file: numbers of commits, ascending; nil: nothing is known
	bytes   int                 // of memory, about

	walks   int           // that were begun
	fresh   int           // which of them ended well last
	walking chan struct{} // closed when the walk ends; nil: none is under way
	failure lineageFailure
	asked   time.Time
}

// lineageFailure is how the last walk failed.
type lineageFailure struct {
	err    error // nil: it did not
	walk   int   // which one
	head   object.Hash
	until  time.Time // no walk from there before
	pauses wait.Backoff
}

const (
	// mostLineage bounds the memory for one repository, in bytes, about: what is
	// older than fits is not shown.
	mostLineage = 64 << 20
	// lineageKept is how long it is remembered after somebody asked.
	lineageKept = 10 * time.Minute
	// mostPauseOfLineage is the longest pause between walks that fail.
	mostPauseOfLineage = time.Minute
)

// of returns the commits that changed a file, oldest first, up to a commit that
// was HEAD after it was called.
func (l *lineage) of(ctx context.Context, r *Repository, file string) ([]object.Hash, error) {
	wanted := r.Snapshot().head
	begun := -1 // walks before we came
	for {
		l.mu.Lock()
		l.asked = r.clock.Now()
		if begun < 0 {
			begun = l.walks
		}
		// A walk that began since then went from a later HEAD, if not from this one.
		if l.files != nil && (l.head == wanted || l.fresh > begun) {
			commits := l.commitsOf(file)
			l.mu.Unlock()
			return commits, nil
		}
		if f := l.failure; f.err != nil && (f.walk > begun || f.head == wanted && r.clock.Now().Before(f.until)) {
			l.mu.Unlock()
			return nil, f.err
		}
		if l.walking == nil {
			l.walks++
			l.walking = make(chan struct{})
			r.background.Go(func() { l.walk(r) })
		}
		walking := l.walking
		l.mu.Unlock()
		select {
		case <-walking:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.ctx.Done():
			return nil, context.Cause(r.ctx)
		}
	}
}

func (l *lineage) commitsOf(file string) []object.Hash {
	numbers := l.files[file]
	commits := make([]object.Hash, len(numbers))
	for i, n := range numbers {
		commits[i] = l.commits[n]
	}
	return commits
}

// walk brings it to HEAD, and says so.
func (l *lineage) walk(r *Repository) {
	head := r.Snapshot().head
	begun := r.clock.Now()
	l.mu.Lock()
	known := l.head
	if l.files == nil {
		known = object.Hash{}
	}
	l.mu.Unlock()
	found, err := findLineage(r.ctx, r, head, known)

	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.add(found, head)
		l.fresh = l.walks
		l.failure = lineageFailure{}
	} else {
		f := &l.failure
		if f.err == nil || f.head != head {
			f.pauses = pauses(mostPauseOfLineage)
		}
		now := r.clock.Now()
		f.err, f.head, f.walk = unavailable("read history", err), head, l.walks
		f.until = now.Add(max(f.pauses.Step(), now.Sub(begun)))
	}
	close(l.walking)
	l.walking = nil
}

// foundLineage is what a walk found, newest first.
type foundLineage struct {
	changes []lineageChange
	bytes   int
	// reached: the walk came to where the lineage ended, and continues it.
	reached bool
}

type lineageChange struct {
	commit object.Hash
	files  []string
}

// findLineage goes from head down to the commit that is known, if it is there,
// as far as the memory allows.
func findLineage(ctx context.Context, r *Repository, head, known object.Hash) (found foundLineage, err error) {
	if head.IsZero() || head == known {
		found.reached = head == known
		return found, nil
	}
	turn, err := r.store.turns.take(ctx)
	if err != nil {
		return found, err
	}
	defer turn.end()
	names := make(map[string]string) // each is kept once
	w := newWalk(ctx, turn, r.git, r.maxDefinitions)
	err = w.line(head, func(id object.Hash) bool {
		found.reached = id == known
		return found.reached || found.bytes >= mostLineage
	}, func(id object.Hash, _ object.Commit, here, there side) error {
		c := lineageChange{commit: id}
		err := w.diff(here, there, id, func(name []byte, _, _ object.TreeEntry) error {
			kept, ok := names[string(name)]
			if found.bytes >= mostLineage {
				return nil
			} else if !ok {
				kept = string(name)
				names[kept] = kept
				found.bytes += bytesOfFile + len(kept)
			}
			c.files = append(c.files, kept)
			found.bytes += bytesOfChange
			return nil
		})
		if len(c.files) > 0 {
			found.changes = append(found.changes, c)
			found.bytes += bytesOfCommit
		}
		return err
	})
	return found, err
}

// What each takes in memory, about.
const (
	bytesOfFile   = 128
	bytesOfCommit = 64
	bytesOfChange = 24
)

// add takes in what a walk from head has found.
func (l *lineage) add(found foundLineage, head object.Hash) {
	if !found.reached || l.files == nil {
		l.commits, l.files, l.bytes = nil, make(map[string][]uint32), 0
	}
	for _, c := range slices.Backward(found.changes) {
		for _, file := range c.files {
			l.files[file] = append(l.files[file], uint32(len(l.commits)))
		}
		l.commits = append(l.commits, c.commit)
	}
	l.head = head
	if l.bytes += found.bytes; found.reached && l.bytes > 2*mostLineage {
		// Too much to keep: the next one to ask begins with what is newest.
		l.drop()
	}
}

func (l *lineage) drop() { l.head, l.commits, l.files, l.bytes = object.Hash{}, nil, nil, 0 }

// closeIdle forgets what nobody has asked for a while.
func (l *lineage) closeIdle(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.walking == nil && now.Sub(l.asked) >= lineageKept {
		l.drop()
		l.failure = lineageFailure{}
	}
}
