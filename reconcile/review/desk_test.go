package review

import (
	"context"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/forge"
	"secretsync/gitstore/gitstoretest"
)

// listened tells each time it is asked for pull requests, and holds whoever asks
// till that is taken note of.
type listened struct{ asked chan struct{} }

func (l *listened) OpenPulls(ctx context.Context) ([]forge.Pull, error) {
	select {
	case l.asked <- struct{}{}:
	case <-ctx.Done():
	}
	return nil, ctx.Err()
}

func (*listened) SetPullStatus(context.Context, forge.Pull, forge.Status) error { return nil }
func (*listened) Comment(context.Context, int, string, string) error            { return nil }

func (l *listened) await(t *testing.T, what string) {
	t.Helper()
	select {
	case <-l.asked:
	case <-time.After(time.Minute):
		t.Fatalf("%s: nobody asked", what)
	}
}

func TestADeskTouchesOnlyTheTenantsThatChange(t *testing.T) {
	store := gitstoretest.MustOpen(t, gitstore.Config{})
	config := func(tenant string, pulls Pulls) Config {
		r := store.MustRepository(tenant).Repository
		return Config{Tenant: r.Tenant(), Branch: "main", Pulls: pulls, Repository: r, Planner: &judge{}, Interval: time.Hour}
	}
	planner := &judge{}
	of := func(tenant string, pulls Pulls) Config {
		c := config(tenant, pulls)
		c.Planner = planner
		return c
	}
	acme, globex, other := &listened{make(chan struct{})}, &listened{make(chan struct{})}, &listened{make(chan struct{})}
	desk := new(Desk)
	desk.Assign([]Config{of("acme", acme)}) // before it runs
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- desk.Run(ctx) }()
	acme.await(t, "begun")

	desk.Assign([]Config{of("acme", acme), of("globex", globex)})
	globex.await(t, "one comes")
	first := desk.working[of("acme", acme).Tenant]
	if first == nil || first.stop == nil {
		t.Fatal("acme's is not at work")
	}
	select {
	case <-first.ended:
		t.Error("acme's ended, though nothing of it changed")
	default:
	}

	desk.Bell(of("acme", acme).Tenant).Hint()
	acme.await(t, "a hint")
	desk.Assign([]Config{of("acme", other)})
	other.await(t, "another forge")
	<-first.ended
	desk.Hint(of("globex", globex).Tenant) // who is not at work
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	desk.Assign([]Config{of("acme", acme)}) // after the end: nobody begins
	select {
	case <-acme.asked:
		t.Error("it works on after the end")
	default:
	}
}

// stuck does not leave when it is told to, till it is let go.
type stuck struct{ asked, letGo chan struct{} }

func (s *stuck) OpenPulls(context.Context) ([]forge.Pull, error) {
	s.asked <- struct{}{}
	<-s.letGo
	return nil, nil
}

func (*stuck) SetPullStatus(context.Context, forge.Pull, forge.Status) error { return nil }
func (*stuck) Comment(context.Context, int, string, string) error            { return nil }

func TestAHintDoesNotWaitForAReviewerThatIsEnding(t *testing.T) {
	store := gitstoretest.MustOpen(t, gitstore.Config{})
	acme := store.MustRepository("acme").Repository
	pulls := &stuck{asked: make(chan struct{}), letGo: make(chan struct{})}
	desk := new(Desk)
	desk.Assign([]Config{{Tenant: acme.Tenant(), Branch: "main", Pulls: pulls, Repository: acme, Planner: &judge{}, Interval: time.Hour}})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- desk.Run(ctx) }()
	<-pulls.asked
	assigned := make(chan struct{})
	go func() { desk.Assign(nil); close(assigned) }()
	hinted := make(chan struct{})
	go func() {
		defer close(hinted)
		for { // till Assign has told the reviewer to end, which it is waiting for then
			desk.Hint(acme.Tenant())
			desk.mu.Lock()
			left := len(desk.working) == 0
			desk.mu.Unlock()
			if left {
				return
			}
		}
	}()
	select {
	case <-hinted:
	case <-time.After(time.Minute):
		t.Error("a hint waits")
	}
	close(pulls.letGo)
	<-assigned
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
