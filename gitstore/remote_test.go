package gitstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/operation"
)

func TestWhatIsPushedToTheRemoteIsSeenAndWhatIsWrittenIsThere(t *testing.T) {
	s := newFarStory(t)
	c := s.begin("alpha")
	e := s.create(defined("beta", "production/default"))
	if got := s.remoteHead(); got != e.Revision.String() {
		t.Errorf("the remote is at %s, not %s", got, e.Revision)
	}
	c.git(c.dir, "pull", "-q", "--rebase", "origin", "main")
	c.write("secrets/gamma.yaml", fileOf("gamma", "default"))
	s.at(c.pushCommit("more"))
	alpha := s.get(s.repo.Snapshot(), "alpha")
	patched, err := s.repo.Patch(t.Context(), somebody, alpha.Name, operation.OneOf(alpha.Revision), targets("staging/default"))
	s.must(err)
	if _, err := s.repo.Patch(t.Context(), somebody, alpha.Name, operation.OneOf(alpha.Revision), targets("staging/other")); !errors.Is(err, ErrPrecondition) {
		t.Errorf("the old revision: got %v", err)
	}
	s.must(s.repo.Delete(t.Context(), somebody, name("gamma"), operation.Exists()))
	if log := s.served.git("log", "--format=%s", "main"); log != "Remove gamma\nSync alpha to 1 target\nmore\nAdd beta\nbegin" {
		t.Errorf("log:\n%s", log)
	}
	if got := s.git(s.gitDir(), "rev-parse", "main"); got != s.remoteHead() {
		t.Errorf("the mirror is at %s", got)
	}
	if _, _, err := s.repo.History(t.Context(), patched.Name, catalog.Revision{}, 10); err != nil {
		t.Error(err)
	}
	f := s.repo.Freshness()
	if !current(f) || f.Remote != s.served.url || time.Since(f.Fetched) > time.Minute {
		t.Errorf("freshness: %+v", f)
	}
	s.fsck()
}

func TestTheFirstWriteToAnEmptyRemoteMakesTheBranch(t *testing.T) {
	s := newFarStory(t)
	s.fresh(current)
	if !s.repo.Snapshot().Read() {
		t.Error("an empty remote is not read")
	}
	e := s.create(defined("alpha"))
	if got := s.remoteHead(); got != e.Revision.String() {
		t.Errorf("the remote is at %s", got)
	}
	s.fsck()
}

func TestAWriteIsJudgedByWhatTheRemoteHolds(t *testing.T) {
	s := &farStory{story: &story{TB: t, dir: t.TempDir()}, served: newServer(t)}
	s.openFar(Config{}, time.Hour) // only who writes looks
	t.Cleanup(func() { s.close() })
	c := s.clone()
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	begun := c.pushCommit("begin")
	s.repo.Hint()
	s.at(begun)
	old := s.get(s.repo.Snapshot(), "alpha").Revision
	c.write("secrets/alpha.yaml", fileOf("alpha", "other"))
	c.pushCommit("change")
	if _, err := s.repo.Patch(t.Context(), somebody, name("alpha"), operation.OneOf(old), targets("staging/default")); !errors.Is(err, ErrPrecondition) {
		t.Errorf("got %v", err)
	}
	if got := s.repo.Snapshot().Head().String(); got != s.remoteHead() {
		t.Errorf("what is shown is %s", got)
	}
}

func TestWhileTheRemoteIsDownReadsGoOnAndWritesAreRefused(t *testing.T) {
	s := newFarStory(t)
	s.begin("alpha")
	s.fresh(current)
	head := s.remoteHead()
	s.served.down()
	f := s.fresh(failing)
	if f.Fetched.IsZero() || !f.Confirmed {
		t.Errorf("freshness: %+v", f)
	}
	down := func() {
		t.Helper()
		_, err := s.repo.Create(t.Context(), somebody, defined("beta"))
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrConflict) || !strings.Contains(Cause(err), s.served.url) {
			t.Errorf("got %v (%s)", err, Cause(err))
		}
		if got := s.repo.Snapshot(); !got.Read() || got.Head().String() != head {
			t.Errorf("it shows %s", got.Head())
		}
		if err := s.repo.Healthy(); err != nil {
			t.Errorf("health: %v", err)
		}
		if !strings.Contains(s.problems(), "as of") {
			t.Errorf("problems: %s", s.problems())
		}
	}
	down()
	s.close()
	s.openFar(Config{}, soonEnough)
	if f := s.fresh(failing); f.Confirmed || f.Fetched.IsZero() {
		t.Errorf("after a restart: %+v", f)
	}
	down()
	s.served.through(nil)
	s.fresh(current)
	s.create(defined("beta"))
	if got := s.problems(); got != "" {
		t.Errorf("problems: %s", got)
	}
	s.fsck()
}

func TestANewMirrorThatCanNotBeFetchedIsNotRead(t *testing.T) {
	s := &farStory{story: &story{TB: t, dir: t.TempDir()}, served: newServer(t)}
	s.served.down()
	s.openFar(Config{}, soonEnough)
	t.Cleanup(func() { s.close() })
	s.fresh(failing)
	s.health(func(err error) bool { return errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrOpening) })
	if s.repo.Snapshot().Read() {
		t.Error("nothing was fetched and it passes for empty")
	}
	s.served.through(nil)
	s.fresh(current)
	s.health(func(err error) bool { return err == nil })
	if !s.repo.Snapshot().Read() {
		t.Error("it is not read")
	}
}

func TestWhatIsGoneFromTheRemoteStaysInForce(t *testing.T) {
	for what, c := range map[string]struct {
		take, back func(s *farStory)
		words      string
		writes     error
	}{
		"the repository": {
			take:  func(s *farStory) { s.must(os.Rename(s.served.repo(), s.served.repo()+".away")) },
			back:  func(s *farStory) { s.must(os.Rename(s.served.repo()+".away", s.served.repo())) },
			words: "not there", writes: ErrUnavailable,
		},
		"the branch, of several": {
			take: func(s *farStory) {
				s.served.git("update-ref", "refs/heads/side", "main")
				s.served.git("update-ref", "-d", "refs/heads/main")
			},
			back:  func(s *farStory) { s.served.git("branch", "main", "side") },
			words: `but "side"`, writes: ErrConflict,
		},
		"all branches": {
			take: func(s *farStory) {
				s.served.git("update-ref", "refs/keep", "main")
				s.served.git("update-ref", "-d", "refs/heads/main")
			},
			back:  func(s *farStory) { s.served.git("branch", "main", "refs/keep") },
			words: "no branch any more", writes: ErrConflict,
		},
		"the default branch, renamed": {
			take:  func(s *farStory) { s.served.git("branch", "-m", "main", "trunk") },
			back:  func(s *farStory) { s.served.git("branch", "-m", "trunk", "main") },
			words: `the default is "trunk"`, writes: ErrConflict,
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newFarStory(t)
			s.begin("alpha")
			s.fresh(current)
			head := s.repo.Snapshot().Head()
			c.take(s)
			s.fresh(failing)
			for range 2 {
				if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, c.writes) {
					t.Errorf("a write: got %v", err)
				}
				if now := s.repo.Snapshot(); now.Head() != head || len(now.Entries()) != 1 {
					t.Errorf("what is shown is %s with %d definitions", now.Head(), len(now.Entries()))
				}
				if !strings.Contains(s.problems(), c.words) {
					t.Errorf("problems: %s", s.problems())
				}
				s.close()
				s.openFar(Config{}, soonEnough)
				s.fresh(failing)
			}
			c.back(s)
			s.fresh(current)
			s.create(defined("beta"))
			if s.problems() != "" {
				t.Errorf("problems: %s", s.problems())
			}
			s.fsck()
		})
	}
}

func TestABranchOfTheRemoteThatIsNotThereIsNotBegun(t *testing.T) {
	s := newFarStory(t)
	s.close()
	s.served.git("symbolic-ref", "HEAD", "refs/heads/trunk")
	c := s.clone()
	c.write("README.md", "hello")
	c.commit("begin")
	c.git(c.dir, "push", "-q", "origin", "HEAD:trunk")
	s.dir = t.TempDir()
	s.openFar(Config{}, soonEnough)
	s.fresh(failing)
	if _, err := s.repo.Create(t.Context(), somebody, defined("alpha")); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), `"trunk"`) {
		t.Errorf("got %v", err)
	}
	if s.repo.Snapshot().Read() {
		t.Error("it passes for read")
	}
	s.store.Configure(s.repo.Tenant(), Settings{Branch: mustParse(ParseBranchName("trunk")), Remote: s.served.remote(soonEnough)})
	s.fresh(current)
	s.create(defined("alpha"))
	if got := s.served.git("log", "--format=%s", "trunk"); got != "Add alpha\nbegin" {
		t.Errorf("log:\n%s", got)
	}
}

func TestABranchThatIsMovedByForceAtTheRemoteIsFollowedAndTold(t *testing.T) {
	s := newFarStory(t)
	c := s.begin("alpha")
	s.create(defined("beta"))
	c.write("README.md", "another")
	at := c.commit("other history")
	c.git(c.dir, "push", "-q", "--force", "origin", "HEAD:main")
	s.at(at)
	if _, ok := s.repo.Snapshot().Get(name("beta")); ok {
		t.Error("what was dropped is there")
	}
	s.fresh(func(Freshness) bool { return strings.Contains(s.problems(), "Add beta") })
	s.create(defined("gamma"))
	s.fsck()
}

func TestARemoteThatLagsBehindItselfTakesNothingBack(t *testing.T) {
	s := newFarStory(t)
	c := s.begin("alpha")
	s.fresh(current)
	old := s.remoteHead()
	// A copy that answers who fetches, as of now.
	s.git(s.served.dir, "clone", "-q", "--mirror", s.served.repo(), "lagging.git")
	var lagging, readonly atomic.Bool
	lagging.Store(true)
	s.served.through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		push := strings.HasSuffix(r.URL.Path, "receive-pack") || r.URL.Query().Get("service") == "git-receive-pack"
		if push && readonly.Load() {
			http.Error(w, "for reading only", http.StatusForbidden)
			return
		}
		if !push && lagging.Load() {
			r.URL.Path = strings.Replace(r.URL.Path, "/acme.git/", "/lagging.git/", 1)
		}
		next.ServeHTTP(w, r)
	})
	e := s.create(defined("beta"))
	for range 3 {
		before := s.repo.Freshness().Fetched
		s.repo.Hint()
		s.fresh(func(f Freshness) bool { return f.Fetched.After(before) })
		if got := s.repo.Snapshot().Head(); got != e.Revision {
			t.Fatalf("what was answered is taken back: %s", got)
		}
	}
	// Who may only read believes it when it is told again.
	readonly.Store(true)
	s.at(mustParse(catalog.ParseRevision(old)))
	lagging.Store(false)
	s.at(e.Revision)
	readonly.Store(false)
	// By force it goes back for all to see.
	c.git(c.dir, "push", "-q", "--force", "origin", old+":main")
	s.at(mustParse(catalog.ParseRevision(old)))
	s.fsck()
}

func TestReferencesOfTheRemoteAreFetchedAndMoved(t *testing.T) {
	s := newFarStory(t)
	c := s.begin("alpha")
	c.write("secrets/beta.yaml", fileOf("beta", "default"))
	pull := c.commit("a proposal")
	c.git(c.dir, "push", "-q", "origin", "HEAD:refs/pull/7/head")
	if got, err := s.repo.FetchRef(t.Context(), "refs/pull/7/head"); err != nil || got != pull {
		t.Errorf("got %s, %v", got, err)
	}
	s.git(s.gitDir(), "cat-file", "-e", pull.String()+"^{tree}")
	if _, err := s.repo.FetchRef(t.Context(), "refs/pull/8/head"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	first := s.note(pull, "seen")
	// Somebody else writes notes, too.
	c.git(c.dir, "fetch", "-q", "origin", notes+":"+notes)
	c.git(c.dir, "notes", "--ref", notes, "add", "-m", "from elsewhere", "HEAD~1")
	c.git(c.dir, "push", "-q", "origin", notes)
	second := s.note(s.repo.Snapshot().Head(), "more")
	if got := s.served.git("rev-parse", notes); got != second.String() || first == second {
		t.Errorf("the notes are at %s, not %s", got, second)
	}
	if got := s.served.git("rev-list", "--count", notes); got != "3" {
		t.Errorf("%s commits of notes", got)
	}
	if got := s.served.git("log", "-1", "--notes=secretsync", pull.String()); !strings.Contains(got, "seen") {
		t.Errorf("the log:\n%s", got)
	}
	s.fsck()
}

func TestAPullRequestThatIsSlowToFetchKeepsNoWriteWaiting(t *testing.T) {
	s := newFarStory(t)
	c := s.begin("alpha")
	s.fresh(current)
	c.write("large", "content")
	pull := c.commit("a proposal")
	c.git(c.dir, "push", "-q", "origin", "HEAD:refs/pull/7/head")
	// hold has the server keep whoever fetches a commit waiting, till he may go on.
	hold := func(commit catalog.Revision) (reached, goOn chan struct{}) {
		reached, goOn = make(chan struct{}), make(chan struct{})
		var once sync.Once
		s.served.through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				if bytes.Contains(body, []byte("want "+commit.String())) {
					once.Do(func() { close(reached) })
					<-goOn
				}
			}
			next.ServeHTTP(w, r)
		})
		return reached, goOn
	}
	fetch := func(wanted catalog.Revision, done chan<- error) {
		got, err := s.repo.FetchRef(t.Context(), "refs/pull/7/head")
		if err == nil && got != wanted {
			err = errors.New(got.String())
		}
		done <- err
	}
	one, two := make(chan error, 1), make(chan error, 1)
	reached, goOn := hold(pull)
	go fetch(pull, one)
	<-reached
	go fetch(pull, two)
	s.create(defined("beta"))
	s.note(pull, "seen")
	close(goOn)
	s.must(errors.Join(<-one, <-two))
	s.git(s.gitDir(), "cat-file", "-e", pull.String()+"^{tree}")
	s.fsck()
	// Who gives the remote up waits for no fetch.
	c.write("large", "more of it")
	pull = c.commit("more")
	c.git(c.dir, "push", "-q", "--force", "origin", "HEAD:refs/pull/7/head")
	reached, goOn = hold(pull)
	t.Cleanup(func() { close(goOn) })
	go fetch(pull, one)
	<-reached
	s.store.Configure(s.repo.Tenant(), Settings{})
	if err := <-one; !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	s.create(defined("gamma"))
}

func TestClosingWaitsForNoRemote(t *testing.T) {
	s := newFarStory(t)
	s.begin("alpha")
	reached, ended := make(chan struct{}, 100), make(chan struct{})
	t.Cleanup(func() { close(ended) })
	s.served.through(func(http.ResponseWriter, *http.Request, http.Handler) {
		reached <- struct{}{}
		<-ended
	})
	<-reached
	done := make(chan error, 1)
	go func() {
		_, err := s.repo.Create(context.Background(), somebody, defined("beta"))
		done <- err
	}()
	s.close()
	if err := <-done; !errors.Is(err, ErrUnavailable) {
		t.Errorf("a write that waited: got %v", err)
	}
}
