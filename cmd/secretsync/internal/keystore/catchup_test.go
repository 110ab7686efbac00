package keystore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
)

// listsCounted counts the requests for lists.
type listsCounted struct {
	Secrets
	lists atomic.Int64
}

func (c *listsCounted) List(ctx context.Context, o metav1.ListOptions) (*corev1.SecretList, error) {
	c.lists.Add(1)
	return c.Secrets.List(ctx, o)
}

// However many ask what other servers made, each knows what they had made by then, and few of them
// ask the API server.
func TestWhoCatchesUpKnowsWhatOthersMade(t *testing.T) {
	w := newWorld(t)
	other := w.open()
	w.add(other, "globex")
	secrets := &listsCounted{Secrets: w.secrets(w.cluster.Config)}
	s, err := Open(t.Context(), Config{Secrets: secrets}) // follows nothing
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"acme", "globex"} { // the next time it takes a rest before
		key := w.add(other, tenant)
		if s.Get(key.ID) != nil {
			t.Fatal("the test proves nothing")
		}
		before, began := secrets.lists.Load(), time.Now()
		var asking sync.WaitGroup
		for range 500 {
			asking.Go(func() {
				if err := s.CatchUp(t.Context()); err != nil {
					t.Errorf("of %s: %v", tenant, err)
				} else if s.Get(key.ID) == nil {
					t.Errorf("a key of %s is not known", tenant)
				}
			})
		}
		asking.Wait()
		if n := secrets.lists.Load() - before; n > mostReadings(began) {
			t.Errorf("500 at once had it listed %d times", n)
		}
	}
}

// mostReadings is how often it is read at most for all who ask, since then.
func mostReadings(since time.Time) int64 { return 2 + int64(time.Since(since)/leastRest) }

func TestWhileTheAPIServerCantBeAskedNobodyCatchesUp(t *testing.T) {
	w := newWorld(t)
	proxy, err := w.cluster.Proxy()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Secrets: w.secrets(proxy.Config)})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Inject(devstack.Fault{Status: 503})
	before, began := proxy.Requests(), time.Now()
	var asking sync.WaitGroup
	for range 500 {
		asking.Go(func() {
			if err := s.CatchUp(t.Context()); !errors.Is(err, gitstore.ErrUnavailable) {
				t.Errorf("%v", err)
			}
		})
	}
	asking.Wait()
	if n := proxy.Requests() - before; int64(n) > mostReadings(began) {
		t.Errorf("500 at once had it asked %d times", n)
	}
	proxy.Clear()
	if err := s.CatchUp(t.Context()); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}
