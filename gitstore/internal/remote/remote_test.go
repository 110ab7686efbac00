package remote_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/remote"
)

// carriers are the ways a stock server is reached. Each of them returns the
// settings for acme.git.
var carriers = map[string]func(testing.TB, *server) remote.Settings{
	"HTTP": func(tb testing.TB, s *server) remote.Settings {
		return remote.Settings{URL: listen(tb, s.handler()).URL + "/acme.git"}
	},
	"HTTP, version 0": func(tb testing.TB, s *server) remote.Settings {
		h := s.handler()
		return remote.Settings{URL: listen(tb, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Git-Protocol")
			h.ServeHTTP(w, r)
		})).URL + "/acme.git"}
	},
	"SSH": func(tb testing.TB, s *server) remote.Settings {
		_, settings := serveSSH(tb, s)
		return settings
	},
	"SSH, version 0": func(tb testing.TB, s *server) remote.Settings {
		v, settings := serveSSH(tb, s)
		v.version = "0"
		return settings
	},
	"OpenSSH": func(tb testing.TB, s *server) remote.Settings { return serveRealSSH(tb, s) },
}

func overEachCarrier(t *testing.T, test func(t *testing.T, s *server, r *remote.Remote)) {
	for name, settings := range carriers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			test(t, s, open(t, settings(t, s)))
		})
	}
}

func TestReferencesAreThoseOfTheRemote(t *testing.T) {
	overEachCarrier(t, func(t *testing.T, s *server, r *remote.Remote) {
		refs, err := r.Refs(t.Context(), "refs/heads/")
		if err != nil {
			t.Fatal(err)
		}
		if !refs.Empty || len(refs.Hashes) != 0 {
			t.Errorf("of an empty repository: %+v", refs)
		}
		main := s.commit("main", "a", "1")
		side := s.commit("side", "b", "2")
		s.git("-C", "acme.git", "tag", "v1", "main")
		refs, err = r.Refs(t.Context(), "refs/heads/")
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]object.Hash{"HEAD": main, "refs/heads/main": main, "refs/heads/side": side}
		if refs.Empty || refs.Head != "refs/heads/main" || len(refs.Hashes) != len(want) {
			t.Errorf("got %+v", refs)
		}
		for name, id := range want {
			if refs.Hashes[name] != id {
				t.Errorf("%s is %s, want %s", name, refs.Hashes[name], id)
			}
		}
	})
}

func TestWhatIsFetchedIsWhatTheHavesLack(t *testing.T) {
	overEachCarrier(t, func(t *testing.T, s *server, r *remote.Remote) {
		first := s.commit("main", "a", "1")
		c := newClone(t)
		if err := r.Fetch(t.Context(), remote.Wanted{Wants: []object.Hash{first}, MaxBytes: 1 << 20}, c.take); err != nil {
			t.Fatal(err)
		}
		c.git("-C", "acme.git", "update-ref", "refs/heads/main", first.String())
		second := s.commit("main", "b", "2")
		unknown := object.NameOf(object.KindBlob, []byte("nobody has this"))
		w := remote.Wanted{Wants: []object.Hash{second}, Haves: []object.Hash{unknown, first}, MaxBytes: 1 << 20}
		if err := r.Fetch(t.Context(), w, c.take); err != nil {
			t.Fatal(err)
		}
		c.git("-C", "acme.git", "update-ref", "refs/heads/main", second.String())
		c.git("-C", "acme.git", "fsck", "--strict")
		if got := c.git("-C", "acme.git", "cat-file", "--batch-all-objects", "--batch-check=x"); len(got) != len("x\n")*6-1 {
			t.Errorf("the clone has %d objects, want 6", (len(got)+1)/2)
		}
	})
}

func TestAPushMovesReferencesFromWhereTheyAre(t *testing.T) {
	overEachCarrier(t, func(t *testing.T, s *server, r *remote.Remote) {
		c := newClone(t)
		first := c.commit("main", "a", "1")
		push := func(u remote.Update, old object.Hash) error {
			session, err := r.OpenPush(t.Context(), "refs/heads/")
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if u.Old != session.Refs.Hashes[u.Ref] {
				t.Logf("pushing over %s", session.Refs.Hashes[u.Ref])
			}
			return session.Push(t.Context(), []remote.Update{u}, c.pack(u.New, old))
		}
		if err := push(remote.Update{Ref: "refs/heads/main", New: first}, object.Hash{}); err != nil {
			t.Fatal(err)
		}
		second := c.commit("main", "b", "2")
		if err := push(remote.Update{Ref: "refs/heads/main", Old: first, New: second}, first); err != nil {
			t.Fatal(err)
		}
		if got := s.head("main"); got != second {
			t.Errorf("the remote is at %s, want %s", got, second)
		}
		s.git("-C", "acme.git", "fsck", "--strict")
		err := push(remote.Update{Ref: "refs/heads/main", Old: first, New: c.commit("main", "c", "3")}, first)
		if !errors.Is(err, remote.Stale) {
			t.Errorf("a push from where the reference was: %v", err)
		}
		if got := s.head("main"); got != second {
			t.Errorf("the remote is at %s, want %s", got, second)
		}
	})
}

func TestAQuietLookIsOneRequest(t *testing.T) {
	s := newServer(t)
	s.commit("main", "a", "1")
	h := s.handler()
	var mu sync.Mutex
	var asked []string
	r := open(t, remote.Settings{URL: listen(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		asked = append(asked, req.Method+" "+req.URL.Path)
		mu.Unlock()
		h.ServeHTTP(w, req)
	})).URL + "/acme.git"})
	for range 3 {
		if _, err := r.Refs(t.Context(), "refs/heads/main"); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 4 || asked[0] != "GET /acme.git/info/refs" || asked[3] != "POST /acme.git/git-upload-pack" {
		t.Errorf("three looks asked %q", asked)
	}
}
