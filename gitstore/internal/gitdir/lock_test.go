package gitdir

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
)

// linkCounter counts the attempts to get a lock.
type linkCounter struct {
	Disk
	links atomic.Int32
}

func (c *linkCounter) Link(old, new string) error {
	c.links.Add(1)
	return c.Disk.Link(old, new)
}

// The folder of the reference is a link that leads nowhere: it can't be made,
// as something is there, and holds no lock.
func TestALockInAFolderThatLeadsNowhereIsGivenUp(t *testing.T) {
	disk, clock := new(linkCounter), clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	dir := filepath.Join(t.TempDir(), "acme.git")
	must(t, Init(disk, dir, "refs/heads/main", "", clock.Now()))
	r, err := Open(Config{Dir: dir, Ref: "refs/heads/main", FS: disk, Clock: clock, Observer: silent{}, Slots: make(chan struct{}, 1)})
	must(t, err)
	defer r.Close()
	must(t, os.Remove(filepath.Join(dir, "refs/heads")))
	must(t, os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "refs/heads")))
	must(t, r.ref().prepare(Hash{1}))

	failed := make(chan error, 1)
	go func() { failed <- r.ref().acquire(t.Context()) }()
	for pauses := 1; ; pauses++ {
		for !clock.HasWaiters() && len(failed) == 0 {
			runtime.Gosched() // till it waits for the clock
		}
		if len(failed) > 0 {
			break
		}
		if n := int(disk.links.Load()); n > pauses {
			t.Fatalf("%d attempts with %d pauses", n, pauses)
		}
		clock.Step(lockPauses.Cap)
	}
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "leads nowhere") || errors.Is(err, ErrHeld) {
		t.Errorf("got %v", err)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	closing := errors.New("closing")
	go func() { failed <- r.ref().acquire(ctx) }()
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

func TestAlternatesAreReadAsGitWritesThem(t *testing.T) {
	for list, want := range map[string][]string{
		"/a\n/b":                            {"/a", "/b"},
		"# none\n\n/a\n":                    {"/a"},
		"/a with space \n":                  {"/a with space "},
		`"/with \"quotes\" and \\"` + "\n":  {`/with "quotes" and \`},
		`"/tab\tand\nline"` + "\n/b\n":      {"/tab\tand\nline", "/b"},
		`"/gr\303\274n"`:                    {"/grün"},
		"\"/never ends\n/b\n":               {`"/never ends`, "/b"},
		`"/unknown \q"` + "\n/b\n":          {`"/unknown \q"`, "/b"},
		`"/octal too short \07"` + "\n":     {`"/octal too short \07"`},
		`"/` + "\nline\"\n":                 {"/\nline"},
		`""` + "\n/b\n":                     {"/b"},
		"/a \"quote\" in the middle\n":      {`/a "quote" in the middle`},
		"relative/objects\n../../objects\n": {"relative/objects", "../../objects"},
	} {
		if got := parseAlternates(list); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}
