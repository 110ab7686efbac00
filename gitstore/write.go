package gitstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// request is one write on its way to the repository's goroutine.
type request struct {
	ctx  context.Context
	by   Commit
	want func(*draft) (fileEdit, *Entry, error) // no edit: the entry is right as it is

	state atomic.Int32 // waiting, then taken or given up
	done  chan reply   // has room for the one reply
	begun time.Time
}

type reply struct {
	entry *Entry
	err   error
}

const (
	requestWaiting = iota
	requestTaken
	requestGivenUp
)

// queue holds the requests that arrived while a batch is being written.
type queue struct {
	mu      sync.Mutex
	waiting []*request
	closed  bool
	arrived chan struct{} // has room for one signal
}

func newQueue() *queue { return &queue{arrived: make(chan struct{}, 1)} }

func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.waiting = append(q.waiting, r)
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.arrived <- struct{}{}:
	default:
	}
}

// take returns up to most requests whose callers still wait, in order.
func (q *queue) take(most int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken []*request
	n := 0
	for n < len(q.waiting) && len(taken) < most {
		if r := q.waiting[n]; r.state.CompareAndSwap(requestWaiting, requestTaken) {
			taken = append(taken, r)
		}
		n++
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	if len(q.waiting) > 0 {
		q.signal()
	}
	return taken
}

func (q *queue) close() []*request {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	return q.take(int(^uint(0) >> 1))
}

// write hands a request over and waits for its reply. Once it was taken up the
// reply is awaited even if ctx ends: it comes soon, and it is the truth.
func (r *Repository) write(ctx context.Context, by Commit, want func(*draft) (fileEdit, *Entry, error)) (*Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	req := &request{ctx: ctx, by: by, want: want, done: make(chan reply, 1), begun: r.clock.Now()}
	if err := r.queue.put(req); err != nil {
		return nil, err
	}
	select {
	case answer := <-req.done:
		return answer.entry, answer.err
	case <-ctx.Done():
		if req.state.CompareAndSwap(requestWaiting, requestGivenUp) {
			return nil, ctx.Err()
		}
		answer := <-req.done
		return answer.entry, answer.err
	}
}

// Create adds a definition and returns it as it then stands at HEAD. It fails
// with [ErrExists] if there is a file of that name, with a [*ClaimError] if
// another definition claims one of the targets, with [ErrLimit] at the greatest
// number of definitions, with [ErrUnavailable] if the repository can't be
// written to, and with ctx's error if that ends before the write begins.
func (r *Repository) Create(ctx context.Context, by Commit, d Definition) (*Entry, error) {
	content := encodeDefinition(d)
	return r.write(ctx, by, func(draft *draft) (fileEdit, *Entry, error) {
		if e, ok := draft.get(d.Name); ok {
			if e.Invalid != nil {
				return fileEdit{}, nil, fmt.Errorf("%w: definition %q is in the repository, in a file that is not valid (%w); mend it in Git, or delete the definition first", ErrExists, d.Name.s, e.Invalid)
			}
			return fileEdit{}, nil, fmt.Errorf("definition %q: %w", d.Name.s, ErrExists)
		}
		for _, p := range draft.base.snapshot.problems {
			if p.Path == Folder {
				return fileEdit{}, nil, fmt.Errorf("%w: %w", ErrConflict, &p)
			}
		}
		if draft.count >= r.maxDefinitions {
			return fileEdit{}, nil, fmt.Errorf("%w: tenant %q has %d definitions and is allowed %d; remove one first", ErrLimit, r.tenant.s, draft.count, r.maxDefinitions)
		}
		if err := draft.claims.check(d.Name, d.Sync); err != nil {
			return fileEdit{}, nil, err
		}
		return fileEdit{name: d.Name, mode: modeFile, content: content, definition: d, subject: "Add " + d.Name.s}, nil, nil
	})
}

// Patch replaces the list of targets and returns the definition as it then
// stands at HEAD; where that is the list already nothing is committed. It fails
// with [ErrNotFound], [ErrPrecondition], with [ErrConflict] if another
// definition claims one of the targets (a [*ClaimError]) or if the file at HEAD
// is not valid, with [ErrInvalid] if the list breaks a rule of the format, and
// with [ErrUnavailable] and ctx's error as [Repository.Create].
func (r *Repository) Patch(ctx context.Context, by Commit, name Name, pre Precondition, sync []Target) (*Entry, error) {
	sync = slices.Clone(sync)
	// The edit is worked out ahead, beside other callers' ones; it counts if
	// the definition still is what it was when its turn comes.
	early, ok := r.Snapshot().Get(name)
	var ahead fileEdit
	var aheadErr error
	if ok && early.Invalid == nil && pre.check(early) == nil && !slices.Equal(early.Definition.Sync, sync) {
		ahead, aheadErr = patchEdit(early, sync, func() ([]byte, error) { return early.file(r.readBlob) })
	}
	return r.write(ctx, by, func(draft *draft) (fileEdit, *Entry, error) {
		e, ok := draft.get(name)
		if !ok {
			return fileEdit{}, nil, fmt.Errorf("definition %q: %w", name.s, ErrNotFound)
		}
		if err := pre.check(e); err != nil {
			return fileEdit{}, nil, err
		}
		if e.Invalid != nil {
			return fileEdit{}, nil, fmt.Errorf("%w: the file at HEAD is not valid (%w); mend it in Git", ErrConflict, e.Invalid)
		}
		if slices.Equal(e.Definition.Sync, sync) {
			return fileEdit{}, e, nil
		}
		change, err := ahead, aheadErr
		if e != early || change.mode == 0 {
			change, err = patchEdit(e, sync, func() ([]byte, error) { return draft.content(e) })
		}
		if err != nil {
			return fileEdit{}, nil, err
		}
		if err := draft.claims.check(name, sync); err != nil {
			return fileEdit{}, nil, err
		}
		return change, nil, nil
	})
}

// patchEdit works out the file with the new list of targets.
func patchEdit(e *Entry, sync []Target, read func() ([]byte, error)) (fileEdit, error) {
	d, err := NewDefinition(e.Name, e.Definition.SecretPath, sync)
	if err != nil {
		return fileEdit{}, err
	}
	before, err := read()
	if err != nil {
		return fileEdit{}, unavailable("read definition "+e.Name.s, err)
	}
	after, err := editSync(before, sync)
	if err != nil {
		return fileEdit{}, fmt.Errorf("definition %q: %w", e.Name.s, err)
	}
	return fileEdit{name: e.Name, mode: e.mode, content: after, definition: d, subject: subjectOfPatch(e.Name, sync)}, nil
}

// Delete removes a definition, valid or not. It fails with [ErrNotFound],
// [ErrPrecondition], and with [ErrUnavailable] and ctx's error as
// [Repository.Create].
func (r *Repository) Delete(ctx context.Context, by Commit, name Name, pre Precondition) error {
	_, err := r.write(ctx, by, func(draft *draft) (fileEdit, *Entry, error) {
		e, ok := draft.get(name)
		if !ok {
			return fileEdit{}, nil, fmt.Errorf("definition %q: %w", name.s, ErrNotFound)
		}
		if err := pre.check(e); err != nil {
			return fileEdit{}, nil, err
		}
		return fileEdit{name: name, subject: "Remove " + name.s}, nil, nil
	})
	return err
}

// file returns the file as it stands at HEAD.
func (e *Entry) file(read func(blob hash) ([]byte, error)) ([]byte, error) {
	if e.content != nil {
		return e.content, nil
	}
	return read(e.blob)
}

// readBlob returns a definition's file.
func (r *Repository) readBlob(id hash) ([]byte, error) {
	return r.objects.reader().verified(id, kindBlob, MaxFileSize)
}
