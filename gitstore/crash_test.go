package gitstore

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/operation"
)

// The crash tests run this test binary as a child that writes under load and
// dies, at a named step or at a random moment. SECRETSYNC_CRASH_ROUNDS says how
// often; the default keeps the tests short.
const (
	crashRounds = "SECRETSYNC_CRASH_ROUNDS"
	crashDir    = "SECRETSYNC_CRASH_DIR"   // set: be the child
	crashStep   = "SECRETSYNC_CRASH_STEP"  // at which step to die
	crashCount  = "SECRETSYNC_CRASH_COUNT" // when it is reached for which time
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func die() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

// crashChild writes with eight writers and reports each answered write on
// standard output. It ends by being killed, or after so many writes.
func crashChild(dir string) {
	var seen steps
	at := os.Getenv(crashStep)
	count, _ := strconv.Atoi(os.Getenv(crashCount))
	var torn atomic.Bool
	fault := &faultFS{hook: func(step string) error {
		n := seen.note(step)
		if torn.Load() {
			die()
		}
		if step != at || n < count {
			return nil
		}
		if strings.HasPrefix(step, "write") && torn.CompareAndSwap(false, true) {
			return errTorn // half of it gets through, and that was the last
		}
		die()
		return nil
	}}
	store, err := Open(Config{Dir: dir, MaxDefinitions: 100, fs: fault, roundAfter: 4, grace: time.Microsecond})
	fail(err)
	repo, err := opened(store, "acme")
	fail(err)
	var out sync.Mutex
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), uint64(os.Getpid())))
			for range 60 {
				line, err := crashWrite(repo, r)
				fail(err)
				out.Lock()
				fmt.Println(line)
				out.Unlock()
			}
		})
	}
	writers.Wait()
	fail(store.Close())
	for _, step := range slices.Sorted(maps.Keys(seen.seen)) {
		fmt.Println("step", seen.seen[step], step)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
}

// crashWrite makes one random write and says what came of it.
func crashWrite(repo *Repository, r *rand.Rand) (string, error) {
	n := name(fmt.Sprintf("definition-%02d", r.IntN(30)))
	by := Attribution{Author: Author{Name: "Crash", ID: "ak-crash"}, RequestID: strconv.FormatUint(r.Uint64(), 36)}
	var err error
	switch r.IntN(5) {
	case 0:
		err = repo.Delete(context.Background(), by, n, operation.Unconditional())
	case 1:
		_, err = repo.Create(context.Background(), by, defined(n.String(), "production/default"))
	default:
		var e *catalog.Entry
		e, err = repo.Patch(context.Background(), by, n, operation.Unconditional(), targets("production/n"+by.RequestID))
		if err == nil && len(e.Definition.Sync) != 1 {
			err = errors.New("patch without effect")
		}
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) {
		return "refused", nil
	}
	return "answered " + by.RequestID, err
}

func runCrashChild(t *testing.T, dir, step string, count int, killAfter time.Duration) (answered []string, reached map[string]int, died bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir, crashStep+"="+step, crashCount+"="+strconv.Itoa(count))
	stdout, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if killAfter > 0 {
		timer := time.AfterFunc(killAfter, func() { _ = child.Process.Kill() })
		defer timer.Stop()
	}
	reached = make(map[string]int) // how often
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		what, rest, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "answered":
			answered = append(answered, rest)
		case "step":
			times, step, _ := strings.Cut(rest, " ")
			reached[step], _ = strconv.Atoi(times)
		case "failed":
			if step == "" || !strings.HasPrefix(step, "write") {
				t.Errorf("the child failed: %s", rest)
			}
		}
	}
	return answered, reached, child.Wait() != nil
}

func TestAKilledProcessLosesNothingThatWasAnswered(t *testing.T) {
	rounds, _ := strconv.Atoi(cmp.Or(os.Getenv(crashRounds), "21"))
	folder := func() string { return filepath.Join(t.TempDir(), "data") } // of one name: it is part of a step's
	dir := folder()
	_, reached, died := runCrashChild(t, dir, "", 0, 0)
	points := slices.Collect(maps.Keys(reached))
	if died || len(points) < 20 {
		t.Fatalf("the child that should live: died %v, steps %q", died, points)
	}
	t.Logf("%d steps to die at: %q", len(points), points)
	rand.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	var answered []string
	aimed, deaths := 0, 0
	for round := range rounds {
		if round%7 == 0 {
			dir, answered = folder(), nil // small repositories are checked faster
		}
		var point string
		var count int
		var after time.Duration
		if round%3 == 2 {
			after = 50*time.Millisecond + time.Duration(rand.IntN(400))*time.Millisecond
		} else {
			aimed++
			point = points[(round-round/3)%len(points)]
			count = 1 + rand.IntN(5)
			if reached[point] < 10 {
				// Perhaps reached in a new folder alone, and once.
				dir, answered, count = folder(), nil, 1
			}
		}
		more, _, died := runCrashChild(t, dir, point, count, after)
		if died && point != "" {
			deaths++
		}
		answered = append(answered, more...)
		checkAfterCrash(t, dir, answered, fmt.Sprintf("round %d, at %q after %s", round, point, after))
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d children died at their step", deaths, aimed)
	if deaths < aimed/2 {
		t.Errorf("only %d of %d children died at their step", deaths, aimed)
	}
}

// checkAfterCrash looks at the repository with stock Git and then opens it.
func checkAfterCrash(t *testing.T, dir string, answered []string, when string) {
	t.Helper()
	gitDir := filepath.Join(dir, "acme.git")
	if _, err := os.Stat(gitDir); err != nil && len(answered) == 0 {
		return // died before there was one
	}
	if out, err := runGit(t.Context(), gitDir, "fsck", "--full", "--strict", "--no-dangling", "--no-progress"); err != nil || strings.Contains(out, "error") {
		t.Fatalf("%s: fsck: %v\n%s", when, err, out)
	}
	stands := make(map[string]bool)
	if out, err := runGit(t.Context(), gitDir, "log", "--format=%(trailers:key=Request-Id,valueonly,separator=)", "main"); err == nil {
		for id := range strings.Lines(out) {
			id = strings.TrimSpace(id)
			if stands[id] {
				t.Errorf("%s: %s was written twice", when, id)
			}
			stands[id] = true
		}
	}
	for _, id := range answered {
		if !stands[id] {
			t.Fatalf("%s: the answered write %s is lost", when, id)
		}
	}
	store, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	defer store.Close()
	repo, err := opened(store, "acme")
	if err == nil {
		err = repo.Healthy()
	}
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	probe := name("probe")
	if _, err = repo.Create(t.Context(), Attribution{RequestID: when}, defined("probe")); err == nil {
		err = repo.Delete(t.Context(), Attribution{RequestID: when + " again"}, probe, operation.Exists())
	}
	if err != nil {
		t.Fatalf("%s: writing afterwards: %v", when, err)
	}
	left, err := leftBehind(t.Context(), repo, gitDir)
	if err != nil {
		t.Error(err)
	}
	for _, path := range left {
		t.Errorf("%s: %s was left behind", when, path)
	}
}
