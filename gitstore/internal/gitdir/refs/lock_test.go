package refs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
)

// linkCounter counts the attempts to get a lock.
type linkCounter struct {
	disk.OS
	links atomic.Int32
}

func (c *linkCounter) Link(old, new string) error {
	c.links.Add(1)
	return c.OS.Link(old, new)
}

// The folder of the reference is a link that leads nowhere: it can't be made,
// as something is there, and holds no lock.
func TestALockInAFolderThatLeadsNowhereIsGivenUp(t *testing.T) {
	counter, clock := new(linkCounter), clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	dir := filepath.Join(t.TempDir(), "acme.git")
	must(t, os.MkdirAll(filepath.Join(dir, "refs"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, disk.OwnFolder), 0o755))
	r := &Ref{FS: counter, Repo: dir, Name: "refs/heads/main", Clock: clock}
	must(t, os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "refs/heads")))
	must(t, r.Prepare(object.Hash{1}))

	failed := make(chan error, 1)
	go func() { failed <- r.acquire(t.Context()) }()
	for pauses := 1; ; pauses++ {
		for !clock.HasWaiters() && len(failed) == 0 {
			runtime.Gosched() // till it waits for the clock
		}
		if len(failed) > 0 {
			break
		}
		if n := int(counter.links.Load()); n > pauses {
			t.Fatalf("%d attempts with %d pauses", n, pauses)
		}
		clock.Step(lockPauses.Cap)
	}
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "leads nowhere") || errors.Is(err, ErrHeld) {
		t.Errorf("got %v", err)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	closing := errors.New("closing")
	go func() { failed <- r.acquire(ctx) }()
	cancel(closing)
	if err := <-failed; !errors.Is(err, closing) {
		t.Errorf("given up it says %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
