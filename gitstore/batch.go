package gitstore

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/draft"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/mirror"
	"secretsync/gitstore/internal/remote"
	"secretsync/gitstore/operation"
)

// mostInBatch is the number of operations from which a batch takes no further
// request. It bounds the memory of a batch and how long its first waits.
const mostInBatch = 128

// mostReplays bounds how often a batch starts anew because others push.
const mostReplays = 50

// writeBatch writes what is queued as one batch: each request a commit of its
// own, on top of the one before, and one pack and one move of the branch for
// all of them. Nobody is answered before that is on disk.
func (r *Repository) writeBatch(ctx context.Context) {
	requests := r.queue.take(mostInBatch)
	if len(requests) == 0 {
		return
	}
	replies := make([]reply, len(requests))
	err := r.writeTogether(ctx, requests, replies)
	if _, rejected := errors.AsType[*mirror.RejectedError](err); rejected && len(requests) > 1 {
		// Which of them the remote refuses is not known, and not the others' fault.
		for i := range requests {
			one, answer := requests[i:i+1], replies[i:i+1]
			r.answer(ctx, one, answer, r.writeTogether(ctx, one, answer))
		}
		return
	}
	r.answer(ctx, requests, replies, err)
}

// writeTogether makes a batch, again and again while others are faster.
func (r *Repository) writeTogether(ctx context.Context, requests []*request, replies []reply) error {
	begun := r.clock.Now()
	err := r.tryBatch(ctx, requests, replies)
	for replays := 0; errors.Is(err, refs.ErrMoved) && replays < mostReplays; replays++ {
		if r.mirror != nil && r.since(begun) > r.mirror.Timeout() {
			break
		}
		r.metrics.Replays.Inc()
		err = r.tryBatch(ctx, requests, replies)
	}
	return err
}

// answer gives everybody of a batch his reply, or the error of them all.
func (r *Repository) answer(ctx context.Context, requests []*request, replies []reply, err error) {
	refused := errors.Is(err, ErrConflict)
	switch {
	case errors.Is(err, ErrUnproven):
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil && r.stuck.err == nil && !refused && (r.mirror == nil || r.mirror.Fault() == nil) && remote.KindOf(err) == "":
		r.condition.SetFault(condition.WriteFault, err)
	}
	for i, req := range requests {
		if gaveUp := req.ctx.Err(); err != nil && (gaveUp == nil || !errors.Is(replies[i].err, gaveUp)) {
			if replies[i] = (reply{err: err}); !refused {
				replies[i].err = failure.CannotNow("write to the repository of tenant "+r.tenant.s, err)
			}
		}
		// Counted before it is answered, so that nobody who has the answer finds it missing.
		r.metrics.Latency.Observe(r.since(req.begun).Seconds())
		req.Answer(replies[i])
	}
}

// tryBatch makes the batch on top of what the branch holds now. [refs.ErrMoved] says
// that another process was faster.
func (r *Repository) tryBatch(ctx context.Context, requests []*request, replies []reply) error {
	session, err := r.catchUp(ctx)
	if err != nil {
		return err
	}
	if session != nil {
		defer session.Close()
	}
	// What is answered now, even that nothing is to be done, is judged by it.
	if err := r.git.Settle(ctx); err != nil {
		return err
	}
	refusal, err := r.refusalOfAll()
	if err != nil {
		return err
	}
	d := draft.New(r.state, r.builder, r.claims, r.blobReader(ctx))
	sign := sync.OnceValues(r.signing)
	commits := 0
	for i, req := range requests {
		if err := req.ctx.Err(); err != nil {
			replies[i] = reply{err: err}
			continue
		}
		var change draft.Edit
		var written []operation.Written
		err := r.writable()
		if err == nil {
			change, written, err = req.want(d)
		}
		if err == nil && len(change.Files) > 0 {
			err = refusal
		}
		if err == nil && len(change.Files) > 0 {
			if d.Sign, err = sign(); err == nil {
				err = d.Commit(req.by.made(r.committer), r.clock.Now(), change)
			}
			if err != nil && !errors.Is(err, ErrConflict) {
				d.Undo()
				return err
			}
		}
		if err == nil && len(change.Files) > 0 {
			commits++
			r.spans.Remember(req.ctx, d.Head)
		}
		if err != nil {
			replies[i] = reply{err: err}
			continue
		}
		for i := range written {
			written[i].Entry, _ = d.Get(written[i].Name)
			if len(change.Files) > 0 {
				written[i].Commit = catalog.RevisionOf(d.Head)
			}
		}
		replies[i] = reply{written: written}
	}
	if commits == 0 {
		// Refusals are as true as what they were judged by.
		at, err := r.git.Head()
		if err == nil && at != r.tip {
			err = refs.ErrMoved
		}
		return err
	}
	if session != nil {
		within, end := r.spans.BeginPush(ctx, contextsOf(requests))
		err := r.mirror.Push(within, session, remote.Update{Ref: r.settings.Branch.ref(), Old: d.Base.Head, New: d.Head}, d.Pack)
		end(err, attribute.String("secretsync.commit", d.Head.String()), attribute.String("secretsync.remote", r.mirror.Name()))
		if err != nil {
			d.Undo()
			return err
		}
		// The remote has it: that is the answer, whatever becomes of the mirror.
		ctx = context.WithoutCancel(ctx)
		r.metrics.Commits.Add(float64(commits))
		r.metrics.Batch.Observe(float64(commits))
	}
	err = r.git.Advance(ctx, d.Pack, d.Base.Head, d.Head)
	switch {
	case err != nil && session == nil:
		d.Undo()
		return err
	case err != nil && !errors.Is(err, ErrUnsettled):
		d.Undo()
		r.condition.SetFault(condition.WriteFault, err)
		r.mirror.AskSoon() // a fetch brings what was pushed
		return nil
	}
	r.tip = d.Head
	r.trust.Made(d.Head)
	r.condition.SetFault(condition.WriteFault, nil) // a refusal would not prove that
	if r.state.Snapshot.Surplus() > 0 {
		// What is removed makes room for one that the draft knows nothing of.
		d.Undo()
		_ = r.follow(ctx, true) // kept as a fault
	} else {
		next := d.State()
		r.claims.Made(next.Snapshot)
		r.publish(next)
	}
	if session == nil {
		r.metrics.Commits.Add(float64(commits))
		r.metrics.Batch.Observe(float64(commits))
	}
	r.git.Note()
	return nil
}

// replay tries something again as long as others are faster, so many times.
func (r *Repository) replay(what string, try func() error) error {
	for replays := 0; ; replays++ {
		err := try()
		switch {
		case !errors.Is(err, refs.ErrMoved):
			return err
		case replays == mostReplays:
			return failure.CannotNow(what, err)
		}
		r.metrics.Replays.Inc()
	}
}
