package server

import (
	"testing"
	"testing/synctest"
)

// A tenant that waits till it is told of is in no other's way.
func TestASlotIsFreeBeforeItIsToldWhoIsWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cold := make([]*warmth, 3)
		for i := range cold {
			cold[i] = &warmth{ctx: t.Context()}
		}
		told, warm := make(chan *warmth), 0
		go warmAll(cold, make(chan struct{}, 1), func(*warmth) bool { warm++; return true }, func(w *warmth) { told <- w })
		synctest.Wait()
		if warm != len(cold) {
			t.Errorf("%d of %d are warm while nobody listens", warm, len(cold))
		}
		for range cold {
			<-told
		}
	})
}
