package shown

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"secretsync/gitstore/catalog"
)

func TestNobodyMissesTheNewestSnapshot(t *testing.T) {
	const snapshots, readers = 1000, 8
	all := make([]*catalog.Snapshot, snapshots)
	number := make(map[*catalog.Snapshot]int)
	for i := range all {
		all[i] = catalog.Unread()
		number[all[i]] = i
	}
	s := New(t.Context(), all[0])
	var called atomic.Int32
	stop := s.Notify(func() { called.Add(1) })
	var reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			var seen *catalog.Snapshot
			for before := -1; before < snapshots-1; {
				next, err := s.Wait(t.Context(), seen)
				if err != nil || number[next] <= before {
					t.Errorf("after number %d came %d, %v", before, number[next], err)
					return
				}
				seen, before = next, number[next]
			}
		})
	}
	for _, next := range all[1:] {
		s.Replace(next)
	}
	reading.Wait()
	stop()
	s.Replace(all[0])
	if n := called.Load(); n != snapshots-1 {
		t.Errorf("%d calls for %d snapshots", n, snapshots-1)
	}
}

func TestWhoWaitsIsToldWhyItEnds(t *testing.T) {
	closed := errors.New("closed")
	life, end := context.WithCancelCause(t.Context())
	s := New(life, catalog.Unread())
	impatient, giveUp := context.WithCancel(t.Context())
	giveUp()
	if _, err := s.Wait(impatient, s.Snapshot()); !errors.Is(err, context.Canceled) || errors.Is(err, closed) {
		t.Errorf("who gave up gets %v", err)
	}
	waited := make(chan error)
	go func() {
		_, err := s.Wait(t.Context(), s.Snapshot())
		waited <- err
	}()
	end(closed)
	if err := <-waited; !errors.Is(err, closed) {
		t.Errorf("who waited gets %v", err)
	}
	if _, err := s.Wait(t.Context(), nil); !errors.Is(err, closed) {
		t.Errorf("who comes afterwards gets %v", err)
	}
}
