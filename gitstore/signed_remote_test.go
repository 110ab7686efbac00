package gitstore

import (
	"errors"
	"secretsync/gitstore/operation"
	"testing"
	"time"
)

func TestWhatIsSignedAndWhatIsNotIsToldOfARemoteAsOfAnyOther(t *testing.T) {
	keys := newSignedStory(t) // its keys and list alone are used
	keys.close()
	s := newFarStory(t)
	s.must(s.store.Close())
	s.openFar(Config{SigningKey: keys.signing}, soonEnough)
	c := s.begin("alpha")
	since := s.repo.Snapshot().Head()
	s.store.Configure(s.repo.Tenant(), Settings{Remote: s.served.remote(time.Minute), Signatures: keys.settings(since).Signatures})
	_, err := s.repo.Patch(t.Context(), somebody, name("none"), operation.Unconditional(), nil)
	if !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	e := s.create(defined("beta"))
	if s.remoteHead() != e.Revision.String() {
		t.Error("the remote does not have what was written")
	}
	s.served.git("-c", "gpg.ssh.allowedSignersFile="+keys.file("allowed"), "verify-commit", e.Revision.String())
	c.git(c.dir, "pull", "-q", "origin", "main")
	c.write("secrets/gamma.yaml", fileOf("gamma", "default"))
	unsigned := c.commit("not signed")
	c.git(c.dir, "push", "-q", "origin", "HEAD:main")
	if _, err := s.repo.Create(t.Context(), somebody, defined("delta")); !errors.Is(err, ErrConflict) {
		t.Errorf("a write on top of it: %v", err)
	}
	if w := s.repo.Withheld(); w == nil || w.Commit != unsigned || s.repo.Snapshot().Head() != e.Revision {
		t.Errorf("withheld is %+v, HEAD %s", w, s.repo.Snapshot().Head())
	}
	if s.remoteHead() != unsigned.String() {
		t.Error("the remote was written to")
	}
	s.store.Configure(s.repo.Tenant(), Settings{Remote: s.served.remote(time.Minute), Signatures: keys.settings(unsigned).Signatures})
	s.create(defined("delta"))
}
