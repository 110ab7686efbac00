package shard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	typed "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
)

// lock is one Lease as an election holds it. It is a resourcelock.Interface, as client-go's
// LeaseLock is one, and has what that one lacks: the annotations by which the others
// know this replica; when a renewal was sent that succeeded, for the fence; the word of the watch
// that a Lease has expired already, so that an election that begins need not watch it for a whole
// lease time once more; and it never releases a Lease that somebody else has taken meanwhile, and
// does not give up at the first failure to release one that is held.
//
// The election calls it from one goroutine. What others ask is atomic.
type lock struct {
	leases      typed.LeaseInterface
	name        string
	kind        string // value of labelLease
	identity    string
	annotations func() map[string]string
	timeout     time.Duration // of one request
	valid       time.Duration // that a renewal lets us write
	clock       clock.PassiveClock
	expired     func(*coordination.Lease) bool // by what the watch saw
	told        func(err error, held bool)     // how each request ended
	wake        func()                         // it is held now, or no longer

	leaves heads // what is written when it is released; set before the election is told to end

	// writing is held while a write is under way. An election that is ended meanwhile would not learn that
	// it has acquired the Lease, nor what was left with it.
	writing sync.Mutex

	lease *coordination.Lease // as it was read or written last
	term  atomic.Pointer[term]
}

// term is a time in which the Lease is held without a break.
type term struct {
	number  uint64    // other terms have other numbers
	renewed time.Time // when the last renewal was sent that succeeded
	found   heads     // what was left with the Lease by who had it before
}

// lasts reports whether the last renewal is younger than valid. By a clock that went back it is of
// no age at all.
func (t *term) lasts(now time.Time, valid time.Duration) bool {
	age := now.Sub(t.renewed)
	return age >= 0 && age < valid
}

var _ resourcelock.Interface = (*lock)(nil)

// current returns the term for which the Lease is held now, as far as it was renewed lately
// enough to be sure of it; nil: it is not.
func (l *lock) current() *term {
	// In this order: a renewal that ends in between would be of a time to come.
	t, now := l.term.Load(), l.clock.Now()
	if t != nil && t.lasts(now, l.valid) {
		return t
	}
	return nil
}

// held returns the number of the current term; 0: there is none.
func (l *lock) held() uint64 {
	if t := l.current(); t != nil {
		return t.number
	}
	return 0
}

// lapses returns when what is held now will not be, if it is not renewed.
func (l *lock) lapses() (at time.Time, held bool) {
	if t := l.current(); t != nil {
		return t.renewed.Add(l.valid), true
	}
	return time.Time{}, false
}

// terms numbers all terms of a process.
var terms atomic.Uint64

// renewed notes that a renewal succeeded that was sent then, or that the Lease was acquired, with what was
// found with it.
func (l *lock) renewed(sent time.Time, found heads) {
	next := term{renewed: sent, found: found}
	if before := l.term.Load(); before != nil && before.lasts(sent, l.valid) {
		next.number, next.found = before.number, before.found
	} else {
		next.number = terms.Add(1)
		defer l.wake()
	}
	l.term.Store(&next)
}

// drop ends the term.
func (l *lock) drop() {
	if l.term.Swap(nil) != nil {
		l.wake()
	}
}

// Get reads who holds the Lease. One that has expired by what the watch saw is told as free; it
// is acquired under the resourceVersion that was read here, so that a holder who renewed it
// meanwhile keeps it.
func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	lease, err := l.leases.Get(ctx, l.name, meta.GetOptions{})
	l.heard(ctx, err)
	if err != nil {
		return nil, nil, err
	}
	l.lease = lease
	record := resourcelock.LeaseSpecToLeaderElectionRecord(&lease.Spec)
	if record.HolderIdentity != l.identity {
		l.drop()
		if l.expired(lease) {
			record.HolderIdentity = ""
		}
	}
	raw, err := json.Marshal(record)
	return record, raw, err
}

// Create makes the Lease, held.
func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	lease := &coordination.Lease{
		ObjectMeta: meta.ObjectMeta{Name: l.name},
		Spec:       resourcelock.LeaderElectionRecordToLeaseSpec(&record),
	}
	l.mark(lease)
	return l.write(ctx, lease, nil, func(ctx context.Context) (*coordination.Lease, error) {
		return l.leases.Create(ctx, lease, meta.CreateOptions{})
	})
}

// Update acquires, renews or, where the record names no holder, releases the Lease.
func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if l.lease == nil {
		return fmt.Errorf("the Lease %s was not read", l.name)
	}
	if record.HolderIdentity == "" {
		l.drop()
		if holderOf(l.lease) != l.identity {
			// The library releases by the record that it saw last, which may be its own of
			// long ago, what it read just now.
			return errors.New("somebody else holds the Lease by now")
		}
	}
	lease := l.lease.DeepCopy()
	lease.Spec = resourcelock.LeaderElectionRecordToLeaseSpec(&record)
	l.mark(lease)
	return l.write(ctx, lease, headsOf(l.lease), func(ctx context.Context) (*coordination.Lease, error) {
		return l.leases.Update(ctx, lease, meta.UpdateOptions{})
	})
}

// release gives up what is still held, as far as it was last read or written. It is for when the
// election has ended, whose own try may have taken the renew deadline: so it tries that for what is
// left of the lease time, when the Lease is free in any case.
func (l *lock) release(t timing) {
	ctx, cancel := context.WithTimeout(context.Background(), t.lease-t.renew)
	defer cancel()
	pause := wait.Backoff{Duration: t.retry / 20, Factor: 2, Steps: 10, Cap: t.retry, Jitter: 0.5}
	for l.lease != nil && holderOf(l.lease) == l.identity {
		record, _, err := l.Get(ctx)
		if apierrors.IsNotFound(err) {
			return
		}
		if err == nil && record.HolderIdentity == l.identity {
			at := meta.NewTime(l.clock.Now())
			// As the library does it.
			err = l.Update(ctx, resourcelock.LeaderElectionRecord{LeaderTransitions: record.LeaderTransitions, LeaseDurationSeconds: 1, RenewTime: at, AcquireTime: at})
		}
		if err == nil {
			return
		}
		timer := time.NewTimer(pause.Step())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (l *lock) mark(lease *coordination.Lease) {
	if lease.Labels == nil {
		lease.Labels = make(map[string]string)
	}
	lease.Labels[labelLease] = l.kind
	if lease.Annotations == nil {
		lease.Annotations = make(map[string]string)
	}
	maps.Copy(lease.Annotations, l.annotations())
	// What was left with it counts for who takes it next, and no further.
	delete(lease.Annotations, annotationHeads)
	if holderOf(lease) == "" && len(l.leaves) > 0 {
		lease.Annotations[annotationHeads] = l.leaves.text(lease.Spec.RenewTime.Time)
	}
}

func (l *lock) write(ctx context.Context, lease *coordination.Lease, found heads, write func(context.Context) (*coordination.Lease, error)) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	sent := l.clock.Now()
	written, err := write(ctx)
	l.heard(ctx, err)
	if err != nil {
		return err
	}
	l.lease = written
	if holderOf(lease) == l.identity {
		l.renewed(sent, found)
	}
	return nil
}

// heard tells how a request ended. An answer that somebody was faster is one.
func (l *lock) heard(ctx context.Context, err error) {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return // we gave it up ourselves
	case apierrors.IsConflict(err), apierrors.IsNotFound(err), apierrors.IsAlreadyExists(err):
		err = nil
	}
	l.told(err, l.term.Load() != nil)
}

// RecordEvent does nothing: the log tells, and a replica needs no right to make Events.
func (l *lock) RecordEvent(string) {}

// Identity is the process that holds it: another one of the same name has another.
func (l *lock) Identity() string { return l.identity }

// Describe names the Lease.
func (l *lock) Describe() string { return l.name }

func holderOf(lease *coordination.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}
