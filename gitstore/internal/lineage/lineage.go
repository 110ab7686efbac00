package lineage

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/index"
	"secretsync/gitstore/internal/turns"
)

// Config says of what a [Lineage] is.
type Config struct {
	Git *gitdir.Repository
	// Definitions is how many are allowed: what a walk may cost goes by it.
	Definitions int
	// Turns are taken by walks.
	Turns *turns.Turns
	// Head is where the branch is at the moment.
	Head  func() object.Hash
	Clock clock.PassiveClock
}

// Lineage is that of one repository's branch. It is safe for concurrent use.
//
//	            asked             walk ends        nobody asks    asked, HEAD is where it failed
//	nothing     walk from HEAD    -                -              -
//	walking     wait for it       up to date       -              -
//	up to date  answer, or walk   -                nothing        -
//	            from HEAD to it
//	failed      walk again        (see walking)    nothing        till a pause is over: the failure
type Lineage struct {
	ctx  context.Context // of walks
	cfg  Config
	find func(ctx context.Context, head, known object.Hash) (found, error)

	mu      sync.Mutex
	head    object.Hash
	commits []object.Hash       // oldest first
	files   map[string][]uint32 // by file: numbers of commits, ascending; nil: nothing is known
	bytes   int                 // of memory, about

	walks   int           // that were begun
	fresh   int           // which of them ended well last
	walking chan struct{} // closed when the walk ends; nil: none is under way
	failure failed
	asked   time.Time
	walkers sync.WaitGroup
}

// New makes one of which nothing is known yet. Its walks end soon after ctx, and who waits
// for one fails with ctx's cause then.
func New(ctx context.Context, cfg Config) *Lineage {
	l := &Lineage{ctx: ctx, cfg: cfg}
	l.find = l.walkDown
	return l
}

// Wait waits for the walk that is under way, if any. Nobody may ask any more.
func (l *Lineage) Wait() { l.walkers.Wait() }

// failed is how the last walk failed, if it did.
type failed struct {
	err    error // nil: it did not
	walk   int   // which one
	head   object.Hash
	until  time.Time // no walk from there before
	pauses wait.Backoff
}

const (
	// most bounds the memory for one repository, in bytes, about: what is
	// older than fits is not shown.
	most = 64 << 20
	// kept is how long it is remembered after somebody asked.
	kept = 10 * time.Minute
	// mostPause is the longest pause between walks that fail.
	mostPause = time.Minute
)

// Of returns the commits that changed a file, oldest first, up to a commit that
// was HEAD after it was called. It fails with [failure.ErrUnavailable] if history can't be
// read, and with ctx's error.
func (l *Lineage) Of(ctx context.Context, file string) ([]object.Hash, error) {
	wanted := l.cfg.Head()
	begun := -1 // walks before we came
	for {
		l.mu.Lock()
		l.asked = l.cfg.Clock.Now()
		if begun < 0 {
			begun = l.walks
		}
		// A walk that began since then went from a later HEAD, if not from this one.
		if l.files != nil && (l.head == wanted || l.fresh > begun) {
			commits := l.commitsOf(file)
			l.mu.Unlock()
			return commits, nil
		}
		if f := l.failure; f.err != nil && (f.walk > begun || f.head == wanted && l.cfg.Clock.Now().Before(f.until)) {
			l.mu.Unlock()
			return nil, f.err
		}
		if l.walking == nil {
			l.walks++
			l.walking = make(chan struct{})
			l.walkers.Go(l.walk)
		}
		walking := l.walking
		l.mu.Unlock()
		select {
		case <-walking:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.ctx.Done():
			return nil, context.Cause(l.ctx)
		}
	}
}

func (l *Lineage) commitsOf(file string) []object.Hash {
	numbers := l.files[file]
	commits := make([]object.Hash, len(numbers))
	for i, n := range numbers {
		commits[i] = l.commits[n]
	}
	return commits
}

// walk brings it to HEAD, and says so.
func (l *Lineage) walk() {
	head := l.cfg.Head()
	begun := l.cfg.Clock.Now()
	l.mu.Lock()
	known := l.head
	if l.files == nil {
		known = object.Hash{}
	}
	l.mu.Unlock()
	found, err := l.find(l.ctx, head, known)

	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.add(found, head)
		l.fresh = l.walks
		l.failure = failed{}
	} else {
		f := &l.failure
		if f.err == nil || f.head != head {
			f.pauses = condition.Pauses(mostPause)
		}
		now := l.cfg.Clock.Now()
		f.err, f.head, f.walk = failure.CannotNow("read history", err), head, l.walks
		f.until = now.Add(max(f.pauses.Step(), now.Sub(begun)))
	}
	close(l.walking)
	l.walking = nil
}

// found is what a walk found, newest first.
type found struct {
	changes []change
	bytes   int
	// reached: the walk came to where the lineage ended, and continues it.
	reached bool
}

type change struct {
	commit object.Hash
	files  []string
}

// walkDown goes from head down to the commit that is known, if it is there,
// as far as the memory allows.
func (l *Lineage) walkDown(ctx context.Context, head, known object.Hash) (f found, err error) {
	if head.IsZero() || head == known {
		f.reached = head == known
		return f, nil
	}
	turn, err := l.cfg.Turns.Take(ctx)
	if err != nil {
		return f, err
	}
	defer turn.End()
	names := make(map[string]string) // each is kept once
	w := index.NewWalk(ctx, turn, l.cfg.Git, l.cfg.Definitions)
	err = w.Line(head, func(id object.Hash) bool {
		f.reached = id == known
		return f.reached || f.bytes >= most
	}, func(id object.Hash, _ object.Commit, here, there index.Side) error {
		c := change{commit: id}
		err := w.Diff(here, there, id, func(name []byte, _, _ object.TreeEntry) error {
			kept, ok := names[string(name)]
			if f.bytes >= most {
				return nil
			} else if !ok {
				kept = string(name)
				names[kept] = kept
				f.bytes += bytesOfFile + len(kept)
			}
			c.files = append(c.files, kept)
			f.bytes += bytesOfChange
			return nil
		})
		if len(c.files) > 0 {
			f.changes = append(f.changes, c)
			f.bytes += bytesOfCommit
		}
		return err
	})
	return f, err
}

// What each takes in memory, about.
const (
	bytesOfFile   = 128
	bytesOfCommit = 64
	bytesOfChange = 24
)

// add takes in what a walk from head has found.
func (l *Lineage) add(f found, head object.Hash) {
	if !f.reached || l.files == nil {
		l.commits, l.files, l.bytes = nil, make(map[string][]uint32), 0
	}
	for _, c := range slices.Backward(f.changes) {
		for _, file := range c.files {
			l.files[file] = append(l.files[file], uint32(len(l.commits)))
		}
		l.commits = append(l.commits, c.commit)
	}
	l.head = head
	if l.bytes += f.bytes; f.reached && l.bytes > 2*most {
		// Too much to keep: the next one to ask begins with what is newest.
		l.drop()
	}
}

func (l *Lineage) drop() { l.head, l.commits, l.files, l.bytes = object.Hash{}, nil, nil, 0 }

// CloseIdle forgets what nobody has asked for a while.
func (l *Lineage) CloseIdle(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.walking == nil && now.Sub(l.asked) >= kept {
		l.drop()
		l.failure = failed{}
	}
}
