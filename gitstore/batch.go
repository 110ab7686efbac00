package gitstore

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// mostInBatch bounds the memory of a batch and how long its first waits.
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
	err := r.tryBatch(ctx, requests, replies)
	for replays := 0; errors.Is(err, errMoved) && replays < mostReplays; replays++ {
		r.metrics.replays.Inc()
		err = r.tryBatch(ctx, requests, replies)
	}
	if err != nil {
		r.setHealth(writeFault, err)
	}
	for i, req := range requests {
		if gaveUp := req.ctx.Err(); err != nil && (gaveUp == nil || !errors.Is(replies[i].err, gaveUp)) {
			replies[i] = reply{err: unavailable("write to the repository of tenant "+r.tenant.s, err)}
		}
		// Counted before it is answered, so that nobody who has the answer finds it missing.
		r.metrics.latency.Observe(r.since(req.begun).Seconds())
		req.done <- replies[i]
	}
}

// tryBatch makes the batch on top of what the branch holds now. errMoved says
// that another process was faster.
func (r *Repository) tryBatch(ctx context.Context, requests []*request, replies []reply) error {
	if err := r.follow(); err != nil {
		return err
	}
	// What is answered now, even that nothing is to be done, is judged by it.
	if err := r.branch.settle(); err != nil {
		return err
	}
	d := newDraft(r.index, r.builder, r.claims, r.readBlob)
	commits := 0
	for i, req := range requests {
		if err := req.ctx.Err(); err != nil {
			replies[i] = reply{err: err}
			continue
		}
		change, entry, err := req.want(d)
		if err == nil && entry == nil {
			if entry, err = d.commit(req.by, r.committer, r.clock.Now(), change); err != nil {
				d.undo()
				return err
			}
			commits++
		}
		replies[i] = reply{entry, err}
	}
	if commits == 0 {
		// Refusals are as true as what they were judged by.
		at, err := r.branch.read()
		if err == nil && at != r.index.head {
			err = errMoved
		}
		return err
	}
	if err := r.persist(ctx, d); err != nil {
		d.undo()
		return err
	}
	r.setHealth(writeFault, nil) // a refusal would not prove that
	next := d.index()
	r.claims.counted = next.snapshot
	r.publish(next)
	r.metrics.commits.Add(float64(commits))
	r.metrics.batch.Observe(float64(commits))
	r.maintenance.note()
	return nil
}

// persist puts a draft on disk: first its objects, then the branch.
func (r *Repository) persist(ctx context.Context, d *draft) error {
	pack, idx, name := d.pack.finish()
	place := r.packPlace(name)
	var group errgroup.Group // the disk makes one trip of what comes together
	group.Go(func() error { return writeFile(r.fs, place.draft(".pack"), 0o444, pack) })
	group.Go(func() error { return writeFile(r.fs, place.draft(".idx"), 0o444, idx) })
	group.Go(func() error { return r.branch.prepare(d.head) })
	err := group.Wait()
	if err == nil {
		err = place.keep()
	}
	if err == nil {
		err = place.publish()
	}
	if err == nil {
		err = r.branch.advance(ctx, d.base.head)
	}
	if err != nil && !errors.Is(err, ErrUnsettled) {
		return errors.Join(err, place.discard())
	}
	if err := place.unkeep(); err != nil {
		r.log.Warn("a pack's mark was not removed; it is at the next start", "tenant", r.tenant.s, "pack", name, "error", err)
	}
	if err != nil {
		return err
	}
	r.objects.add(newPack(r.fs, place.final(""), idx))
	return nil
}
