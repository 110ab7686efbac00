package remote_test

import (
	"errors"
	"strings"
	"testing"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/remote"
)

// mustRefuse pushes a first commit to main and returns why that was refused.
func mustRefuse(t *testing.T, r *remote.Remote, updates ...remote.Update) *remote.Error {
	t.Helper()
	c := newClone(t)
	if len(updates) == 0 {
		updates = []remote.Update{{Ref: "refs/heads/main"}}
	}
	for i := range updates {
		updates[i].New = c.commit("main", "a", "1")
	}
	session, err := r.OpenPush(t.Context(), "refs/heads/")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	err = session.Push(t.Context(), updates, c.pack(c.head("main"), object.Hash{}))
	e, ok := errors.AsType[*remote.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	return e
}

func TestARefusedPushSaysWhatTheRemoteSays(t *testing.T) {
	overEachCarrier(t, func(t *testing.T, s *server, r *remote.Remote) {
		s.hook("pre-receive", `printf '\033[31mGH006: Protected branch update failed.\033[0m\nÄnderungen brauchen ein Review\n' >&2; exit 1`)
		e := mustRefuse(t, r)
		const want = "pre-receive hook declined: GH006: Protected branch update failed. Änderungen brauchen ein Review"
		if e.Kind != remote.Rejected || e.Ref != "refs/heads/main" || e.Words != want {
			t.Errorf("got %s %s %q", e.Kind, e.Ref, e.Words)
		}
		s.hook("pre-receive", `yes "$(printf 'w\b\t\007')" | head -c 200000 >&2; exit 1`)
		e = mustRefuse(t, r)
		if e.Kind != remote.Rejected || len(e.Words) > 1<<10 || strings.ContainsAny(e.Words, "\b\t\a\n") {
			t.Errorf("got %s %q", e.Kind, e.Words)
		}
	})
}

func TestOfSeveralUpdatesAllOrNoneHappen(t *testing.T) {
	overEachCarrier(t, func(t *testing.T, s *server, r *remote.Remote) {
		s.hook("update", `[ "$1" = refs/heads/free ] || { echo "not that one" >&2; exit 1; }`)
		e := mustRefuse(t, r, remote.Update{Ref: "refs/heads/free"}, remote.Update{Ref: "refs/heads/main"})
		if e.Kind != remote.Rejected || e.Ref != "refs/heads/main" || !strings.Contains(e.Words, "not that one") {
			t.Errorf("got %s %s %q", e.Kind, e.Ref, e.Words)
		}
		if got := s.git("-C", "acme.git", "for-each-ref"); got != "" {
			t.Errorf("the remote has %s", got)
		}
	})
}

// Stock Git leaves an update whose objects are missing out of a transaction
// that it makes all the same.
func TestAPushMadeInPartIsUnknown(t *testing.T) {
	s := newServer(t)
	r := open(t, carriers["HTTP"](t, s))
	c := newClone(t)
	first := c.commit("main", "a", "1")
	pack := c.pack(first, object.Hash{})
	session, err := r.OpenPush(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	updates := []remote.Update{{Ref: "refs/heads/a", New: first}, {Ref: "refs/heads/b", New: c.commit("main", "b", "2")}}
	if err := session.Push(t.Context(), updates, pack); !errors.Is(err, remote.Unknown) {
		t.Errorf("got %v; the remote has %s", err, s.git("-C", "acme.git", "for-each-ref"))
	}
}
