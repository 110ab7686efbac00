package gitstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"

	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/remote"
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
	if _, rejected := errors.AsType[*rejectedError](err); rejected && len(requests) > 1 {
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
		if r.origin != nil && r.since(begun) > r.origin.of.timeout() {
			break
		}
		r.metrics.replays.Inc()
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
	case err != nil && r.stuck.err == nil && !refused && (r.origin == nil || r.origin.fault == nil) && remote.KindOf(err) == "":
		r.setHealth(writeFault, err)
	}
	for i, req := range requests {
		if gaveUp := req.ctx.Err(); err != nil && (gaveUp == nil || !errors.Is(replies[i].err, gaveUp)) {
			if replies[i] = (reply{err: err}); !refused {
				replies[i].err = unavailable("write to the repository of tenant "+r.tenant.s, err)
			}
		}
		// Counted before it is answered, so that nobody who has the answer finds it missing.
		r.metrics.latency.Observe(r.since(req.begun).Seconds())
		req.done <- replies[i]
	}
}

// tryBatch makes the batch on top of what the branch holds now. errMoved says
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
	d := newDraft(r.state, r.builder, r.claims, r.blobReader(ctx))
	sign := sync.OnceValues(r.signing)
	commits := 0
	for i, req := range requests {
		if err := req.ctx.Err(); err != nil {
			replies[i] = reply{err: err}
			continue
		}
		var change edit
		var written []Written
		err := r.state.writable()
		if err == nil {
			change, written, err = req.want(d)
		}
		if err == nil && len(change.files) > 0 {
			err = refusal
		}
		if err == nil && len(change.files) > 0 {
			if d.sign, err = sign(); err == nil {
				err = d.commit(req.by, r.committer, r.clock.Now(), change)
			}
			if err != nil && !errors.Is(err, ErrConflict) {
				d.undo()
				return err
			}
		}
		if err == nil && len(change.files) > 0 {
			commits++
			r.remember(req.ctx, d.head)
		}
		if err != nil {
			replies[i] = reply{err: err}
			continue
		}
		for i := range written {
			written[i].Entry, _ = d.get(written[i].Name)
			if len(change.files) > 0 {
				written[i].Commit = revisionOf(d.head)
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
		within, end := r.beginPush(ctx, requests)
		err := r.push(within, session, remote.Update{Ref: r.settings.Branch.ref(), Old: d.base.head, New: d.head}, d.pack)
		end(err, attribute.String("secretsync.commit", d.head.String()), attribute.String("secretsync.remote", r.origin.of.String()))
		if err != nil {
			d.undo()
			return err
		}
		// The remote has it: that is the answer, whatever becomes of the mirror.
		ctx = context.WithoutCancel(ctx)
		r.metrics.commits.Add(float64(commits))
		r.metrics.batch.Observe(float64(commits))
	}
	err = r.git.Advance(ctx, d.pack, d.base.head, d.head)
	switch {
	case err != nil && session == nil:
		d.undo()
		return err
	case err != nil && !errors.Is(err, ErrUnsettled):
		d.undo()
		r.setHealth(writeFault, err)
		r.origin.next = r.clock.Now() // a fetch brings what was pushed
		return nil
	}
	r.tip = d.head
	r.trust.made(d.head)
	r.setHealth(writeFault, nil) // a refusal would not prove that
	if r.state.snapshot.surplus > 0 {
		// What is removed makes room for one that the draft knows nothing of.
		d.undo()
		_ = r.follow(ctx, true) // kept as followFault
	} else {
		next := d.state()
		r.claims.counted = next.snapshot
		r.publish(next)
	}
	if session == nil {
		r.metrics.commits.Add(float64(commits))
		r.metrics.batch.Observe(float64(commits))
	}
	r.git.Note()
	return nil
}

// refusalOfAll says why no commit can be made: it would be on top of one that is not
// in force; or where there is no branch, the root of a history that nothing connects
// to the branches that are there.
func (r *Repository) refusalOfAll() (refusal, failed error) {
	if refusal := r.signatureRefusal(); refusal != nil {
		return refusal, nil
	}
	if !r.state.head.IsZero() {
		return nil, nil
	}
	if err := r.git.Conflict(); err != nil {
		return nil, err
	}
	if r.origin != nil {
		return nil, nil // the remote has no branch at all, or it would not have come to this
	}
	sentence, err := r.absence()
	if sentence != "" {
		refusal = fmt.Errorf("%w: %s", ErrConflict, sentence)
	}
	return refusal, err
}
