package gitstore

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/operation"
)

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// taken lets a request through whose answer nobody gets.
func taken(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	cut(w)
}

// onPush does something with the first requests that push; all else goes through.
func (s *server) onPush(steps ...func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	var pushes atomic.Int32
	s.through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isPush(r) {
			if n := int(pushes.Add(1)); n <= len(steps) {
				steps[n-1](w, r, next)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// once fails unless each of the subjects is in the remote's history so often.
func (s *farStory) once(subjects ...string) {
	s.Helper()
	log := "\n" + s.served.git("log", "--format=%s", "main") + "\n"
	for _, subject := range subjects {
		if n := strings.Count(log, "\n"+subject+"\n"); n != 1 {
			s.Errorf("%q is %d times in the history:%s", subject, n, log)
		}
	}
}

func TestWhateverBecomesOfAPushItIsMadeOnce(t *testing.T) {
	type step = func(w http.ResponseWriter, r *http.Request, next http.Handler)
	lost := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { cut(w) }
	fails := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, "bad gateway", http.StatusBadGateway)
	}
	for what, steps := range map[string]func(s *farStory, c *workTree) []step{
		"it does not arrive":                   func(*farStory, *workTree) []step { return []step{lost} },
		"it does not arrive, twice":            func(*farStory, *workTree) []step { return []step{lost, lost} },
		"a gateway fails":                      func(*farStory, *workTree) []step { return []step{fails} },
		"its answer is lost":                   func(*farStory, *workTree) []step { return []step{taken} },
		"its answer is lost, and so was it":    func(*farStory, *workTree) []step { return []step{lost, taken} },
		"somebody builds on it meanwhile":      func(_ *farStory, c *workTree) []step { return []step{c.after} },
		"somebody is faster, and it is lost":   func(_ *farStory, c *workTree) []step { return []step{c.before(lost)} },
		"somebody is faster":                   func(_ *farStory, c *workTree) []step { return []step{c.before(nil)} },
		"somebody is faster, again and again":  func(_ *farStory, c *workTree) []step { return []step{c.before(nil), c.before(nil), c.before(nil)} },
		"it arrives after all was asked again": func(s *farStory, _ *workTree) []step { return []step{s.late()} },
	} {
		t.Run(what, func(t *testing.T) {
			s := newFarStory(t)
			c := s.begin("alpha")
			s.served.onPush(steps(s, c)...)
			e := s.create(defined("beta"))
			s.once("Add beta", "begin")
			if got := s.served.git("log", "-1", "--format=%s", e.Revision.String()); got != "Add beta" {
				t.Errorf("the revision is of %q", got)
			}
			s.repo.Hint()
			s.fresh(func(Freshness) bool { return s.repo.Snapshot().Head().String() == s.remoteHead() })
			if got := s.get(s.repo.Snapshot(), "beta").Revision; got != e.Revision {
				t.Errorf("the revision is %s, answered was %s", got, e.Revision)
			}
			s.create(defined("gamma"))
			s.once("Add beta", "Add gamma")
			s.fsck()
		})
	}
}

// before has somebody push first.
func (c *workTree) before(then func(http.ResponseWriter, *http.Request, http.Handler)) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		c.pushMore()
		if then == nil {
			next.ServeHTTP(w, r)
			return
		}
		then(w, r, next)
	}
}

// after has somebody push on top of what is taken, before the answer is lost.
func (c *workTree) after(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	c.pushMore()
	cut(w)
}

func (c *workTree) pushMore() {
	c.git(c.dir, "fetch", "-q", "origin", "main")
	c.git(c.dir, "reset", "-q", "--hard", "FETCH_HEAD")
	c.commit("more")
	c.git(c.dir, "push", "-q", "origin", "HEAD:main")
}

// late has a request arrive at the server when the next one that pushes has.
func (s *farStory) late() func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		// What a proxy holds back, which has given its client up.
		content, err := io.ReadAll(r.Body)
		if err != nil {
			s.Error(err)
		}
		held := r.Clone(s.Context())
		held.Body = io.NopCloser(bytes.NewReader(content))
		s.served.through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
			if isPush(r) {
				s.served.through(nil)
				next.ServeHTTP(httptest.NewRecorder(), held)
			}
		})
		cut(w)
	}
}

func TestAPushOfWhichNothingIsKnownIsToldAsSuchAndSettledFirst(t *testing.T) {
	for what, lands := range map[string]bool{"it landed": true, "it did not": false} {
		t.Run(what, func(t *testing.T) {
			s := &farStory{story: &story{TB: t, dir: t.TempDir()}, served: newServer(t)}
			store, err := Open(Config{Dir: s.dir, PollInterval: soonEnough})
			s.must(err)
			s.store = store
			t.Cleanup(func() { s.close() })
			impatient, err := ParseRemote(RemoteSettings{URL: s.served.url, Timeout: 2 * time.Second}, soonEnough)
			s.must(err)
			s.store.Configure(mustParse(ParseTenantName("acme")), Settings{Remote: impatient})
			s.repo = s.opened("acme")
			s.begin("alpha")
			begun := s.remoteHead()
			s.served.through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if isPush(r) {
					s.served.down()
					if lands {
						next.ServeHTTP(httptest.NewRecorder(), r)
					}
					cut(w)
					return
				}
				next.ServeHTTP(w, r)
			})
			// On a slow machine a write may be given up before it is pushed: that one was not made.
			create := func() (err error) {
				for again := true; again; again = errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrUnproven) {
					_, err = s.repo.Create(t.Context(), somebody, defined("beta"))
				}
				return err
			}
			if err := create(); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrUnproven) {
				t.Errorf("got %v", err)
			}
			if got := s.repo.Snapshot().Head().String(); got != begun {
				t.Errorf("shown is %s", got)
			}
			s.served.through(nil)
			if err := create(); lands != errors.Is(err, ErrExists) {
				t.Errorf("made again: %v", err)
			}
			s.once("Add beta")
			s.fresh(current)
			s.fsck()
		})
	}
}

// hook has the remote judge pushes by a script.
func (s *server) receive(script string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.repo(), "hooks", "pre-receive"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		s.Fatal(err)
	}
}

func TestWhatTheRemoteRefusesComesBackWithItsWordsAndTheOthersGoOn(t *testing.T) {
	s := newFarStory(t)
	s.begin("alpha")
	s.served.receive(`while read old new ref; do
	if git log --format=%s $old..$new | grep -q "bad"; then echo "no bad names here, says the rule"; exit 1; fi
done`)
	// While one is on its way the others gather, and become one batch.
	on, go_ := make(chan struct{}), make(chan struct{})
	s.served.onPush(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		close(on)
		<-go_
		next.ServeHTTP(w, r)
	})
	var group sync.WaitGroup
	group.Go(func() { s.create(defined("first")) })
	<-on
	var mu sync.Mutex
	got := make(map[string]error)
	names := []string{"one", "bad-one", "two", "bad-two", "three"}
	for _, n := range names {
		group.Go(func() {
			_, err := s.repo.Create(t.Context(), somebody, defined(n))
			mu.Lock()
			defer mu.Unlock()
			got[n] = err
		})
	}
	for s.repo.queue.length() < len(names) {
		time.Sleep(time.Millisecond)
	}
	close(go_)
	group.Wait()
	for _, n := range names {
		bad := strings.HasPrefix(n, "bad")
		if err := got[n]; !bad && err != nil || bad && (!errors.Is(err, ErrConflict) || errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "says the rule")) {
			t.Errorf("%s: got %v", n, err)
		}
	}
	s.once("Add first", "Add one", "Add two", "Add three")
	if err := s.repo.Healthy(); err != nil || s.problems() != "" {
		t.Errorf("health: %v, problems: %s", err, s.problems())
	}
	s.fsck()
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

func TestAReplayedWriteIsJudgedAgain(t *testing.T) {
	s := newFarStory(t)
	c := s.begin("alpha")
	old := s.get(s.repo.Snapshot(), "alpha").Revision
	s.served.onPush(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		c.write("secrets/alpha.yaml", fileOf("alpha", "other"))
		c.pushCommit("change")
		next.ServeHTTP(w, r)
	})
	if _, err := s.repo.Patch(t.Context(), somebody, name("alpha"), operation.OneOf(old), targets("staging/default")); !errors.Is(err, ErrPrecondition) {
		t.Errorf("got %v", err)
	}
	s.once("change")
}

func TestWhatTheMirrorCanNotTakeIsAnsweredAllTheSame(t *testing.T) {
	s := &farStory{story: &story{TB: t, dir: t.TempDir()}, served: newServer(t)}
	var full atomic.Bool
	disk := &faultFS{hook: func(step string) error {
		if full.Load() && strings.HasPrefix(step, "create draft") {
			return syscall.ENOSPC
		}
		return nil
	}}
	s.openFar(Config{fs: disk}, soonEnough)
	t.Cleanup(func() { s.close() })
	s.begin("alpha")
	s.served.onPush(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		full.Store(true)
		next.ServeHTTP(w, r)
	})
	e := s.create(defined("beta"))
	if got := s.remoteHead(); got != e.Revision.String() {
		t.Errorf("the remote is at %s", got)
	}
	full.Store(false)
	s.at(e.Revision)
	if got := s.get(s.repo.Snapshot(), "beta").Revision; got != e.Revision {
		t.Errorf("the revision is %s", got)
	}
	s.health(func(err error) bool { return err == nil })
	s.fsck()
}

func TestAMirrorIsMadeOnlyOfWhatTheRemoteHasAsWell(t *testing.T) {
	s := &farStory{story: &story{TB: t, dir: t.TempDir()}, served: newServer(t)}
	s.open()
	t.Cleanup(func() { s.close() })
	own := s.create(defined("alpha"))
	tenant := s.repo.Tenant()
	far := s.clone()
	far.write("README.md", "elsewhere")
	far.commit("elsewhere")
	far.git(far.dir, "push", "-q", "origin", "HEAD:main")

	s.store.Configure(tenant, Settings{Remote: s.served.remote(soonEnough)})
	s.fresh(failing)
	if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), own.Revision.String()) {
		t.Errorf("got %v", err)
	}
	if got := s.git(s.gitDir(), "rev-parse", "main"); got != own.Revision.String() || s.repo.Snapshot().Head() != own.Revision {
		t.Errorf("what is here was overwritten: %s", got)
	}
	// Back to what it was.
	s.store.Configure(tenant, Settings{})
	s.create(defined("beta"))
	// The remote gets it, and is more by one commit.
	s.git(s.gitDir(), "push", "-q", "--force", s.served.url, "main")
	far.pushMore()
	s.store.Configure(tenant, Settings{Remote: s.served.remote(soonEnough)})
	s.fresh(current)
	s.fresh(func(Freshness) bool { return s.repo.Snapshot().Head().String() == s.remoteHead() })
	s.create(defined("gamma"))
	s.once("Add gamma", "Add alpha", "more")
	// Another URL, of another repository: nothing was dropped by anybody.
	other := newServer(t)
	c := (&farStory{story: s.story, served: other}).clone()
	c.write("secrets/delta.yaml", fileOf("delta", "default"))
	at := c.commit("begin")
	c.git(c.dir, "push", "-q", "origin", "HEAD:main")
	s.store.Configure(tenant, Settings{Remote: other.remote(soonEnough)})
	s.at(at)
	s.fresh(current)
	if s.problems() != "" {
		t.Errorf("problems: %s", s.problems())
	}
	if f := s.repo.Freshness(); f.Remote != other.url {
		t.Errorf("freshness: %+v", f)
	}
	// Embedded again, with what it has by now.
	s.store.Configure(tenant, Settings{})
	s.create(defined("epsilon"))
	if f := s.repo.Freshness(); f != (Freshness{}) {
		t.Errorf("freshness: %+v", f)
	}
	if got := other.git("rev-parse", "main"); got != at.String() {
		t.Errorf("the remote that was left is at %s", got)
	}
	s.fsck()
}

func TestADamagedMirrorIsFetchedAnew(t *testing.T) {
	s := newFarStory(t)
	s.begin("alpha", "beta")
	e := s.create(defined("gamma"))
	s.close()
	s.must(os.RemoveAll(filepath.Join(s.gitDir(), "objects", "pack")))
	s.must(os.MkdirAll(filepath.Join(s.gitDir(), "objects", "pack"), 0o755))
	s.must(os.RemoveAll(filepath.Join(s.gitDir(), "secretsync", "index")))
	s.openFar(Config{}, soonEnough)
	s.fresh(current)
	s.health(func(err error) bool { return err == nil })
	if got := s.get(s.at(e.Revision), "gamma").Revision; got != e.Revision {
		t.Errorf("the revision is %s", got)
	}
	s.create(defined("delta"))
	s.fsck()
}

func TestARemoteThatIsTooLargeIsLeftWhereItWas(t *testing.T) {
	s := newFarStory(t)
	c := s.begin("alpha")
	s.close()
	s.openFar(Config{MaxMirror: 64 << 10}, soonEnough)
	s.fresh(current)
	head := s.repo.Snapshot().Head()
	random := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	c.write("large", string(random))
	c.commit("too much")
	c.git(c.dir, "push", "-q", s.served.repo(), "HEAD:main") // package cgi takes no chunked requests
	s.fresh(failing)
	if !strings.Contains(s.problems(), "larger than is allowed") || s.repo.Snapshot().Head() != head {
		t.Errorf("problems: %s, at %s", s.problems(), s.repo.Snapshot().Head())
	}
	if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := s.repo.FetchRef(t.Context(), "refs/heads/main"); !errors.Is(err, ErrLimit) || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	s.fsck()
	c.git(c.dir, "reset", "-q", "--hard", "HEAD~1")
	c.git(c.dir, "push", "-q", "--force", "origin", "HEAD:main")
	s.fresh(current)
	s.create(defined("beta"))
}

func TestAWriteThatMeetsNewSettingsIsMadeWhereTheyLead(t *testing.T) {
	for what, write := range map[string]func(*farStory) (branch string, commit catalog.Revision){
		"a write": func(s *farStory) (string, catalog.Revision) { return "main", s.create(defined("beta")).Revision },
		"a proposal": func(s *farStory) (string, catalog.Revision) {
			p := s.propose(catalog.Revision{}, operation.Creation(defined("beta")))
			return p.Branch, p.Commit
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newFarStory(t)
			s.begin("alpha")
			other := newServer(t)
			s.served.git("push", "-q", other.repo(), "main")
			var once sync.Once
			s.served.through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.URL.Query().Get("service") == "git-receive-pack" {
					once.Do(func() {
						s.store.Configure(mustParse(ParseTenantName("acme")), Settings{Remote: other.remote(soonEnough)})
					})
				}
				next.ServeHTTP(w, r)
			})
			branch, commit := write(s)
			if head := other.git("rev-parse", branch); head != commit.String() {
				t.Errorf("branch %s of the remote that is configured is at %s, answered was %s", branch, head, commit)
			}
			if n := s.served.git("rev-list", "--all", "--count"); n != "1" {
				t.Errorf("the remote of before has %s commits", n)
			}
		})
	}
}
