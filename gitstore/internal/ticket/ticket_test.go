package ticket

import (
	"context"
	"sync"
	"testing"
)

func TestATicketIsTakenOrGivenUpAndNeverBoth(t *testing.T) {
	for range 2000 {
		k := New[int]()
		ctx, giveUp := context.WithCancel(t.Context())
		var took bool
		var both sync.WaitGroup
		both.Go(func() {
			if took = k.Take(); took {
				k.Answer(7)
			}
		})
		both.Go(giveUp)
		answer, taken := k.Await(ctx)
		both.Wait()
		if taken != took || taken != (answer == 7) {
			t.Fatalf("taken: %v, as the caller sees it %v with answer %d", took, taken, answer)
		}
		if k.Take() {
			t.Fatal("it is taken twice")
		}
	}
}
