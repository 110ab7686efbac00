package gitstore

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Who closes a mirror can tell another server where its branch was left, if that is sure: a write whose
// outcome nobody knows, or that is not in the mirror, would be missed there.
func TestWhereTheBranchOfAMirrorIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		befalls func(*farStory)
		sure    bool
	}{
		"as it was found":                  {func(*farStory) {}, true},
		"where a write of ours brought it": {func(s *farStory) { s.create(defined("beta")) }, true},
		"where somebody else's push did, as far as it was fetched": {func(s *farStory) {
			c := s.clone()
			c.write("secrets/beta.yaml", fileOf("beta", "default"))
			s.at(c.pushCommit("more"))
		}, true},
		"nobody is sure while the remote is down": {func(s *farStory) {
			s.served.down()
			s.fresh(failing)
		}, false},
		"nor when it is not known whether a push landed": {func(s *farStory) {
			s.served.through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if isPush(r) {
					next.ServeHTTP(httptest.NewRecorder(), r)
					s.served.down()
					cut(w)
					return
				}
				next.ServeHTTP(w, r)
			})
			impatient, err := ParseRemote(RemoteSettings{URL: s.served.url, Timeout: 2 * time.Second}, time.Hour)
			s.must(err)
			s.store.Configure(s.repo.Tenant(), Settings{Remote: impatient})
			for err = ErrUnavailable; errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrUnproven); {
				_, err = s.repo.Create(t.Context(), somebody, defined("beta"))
			}
			if !errors.Is(err, ErrUnproven) {
				t.Fatal(err)
			}
		}, false},
		"nor when what was pushed could not be put into the mirror": {func(s *farStory) {
			s.served.through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if isPush(r) { // another process writes there, and does not end
					s.must(os.WriteFile(filepath.Join(s.gitDir(), "refs", "heads", "main.lock"), nil, 0o644))
				}
				next.ServeHTTP(w, r)
			})
			s.create(defined("beta"))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFarStory(t)
			s.begin("alpha")
			s.fresh(current)
			c.befalls(s)
			if _, sure := s.repo.LeftAt(); sure {
				t.Error("it is told before it is closed")
			}
			s.must(s.store.CloseRepository(s.repo.Tenant()))
			s.served.through(nil)
			at, sure := s.repo.LeftAt()
			if sure != c.sure || sure && at.String() != s.remoteHead() {
				t.Errorf("%s, sure: %v; the remote is at %s", at, sure, s.remoteHead())
			}
		})
	}
}

func TestWhatIsNoMirrorIsLeftNowhereElse(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.must(s.store.CloseRepository(s.repo.Tenant()))
	if at, sure := s.repo.LeftAt(); sure {
		t.Errorf("it is told to be left at %s", at)
	}
}
