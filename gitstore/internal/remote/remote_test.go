package remote_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

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

// What one repository's server said that it can do is held for true of the next one of its host, and
// if it isn't, that one is heard itself.
func TestAnotherRepositoryOfAHostIsAskedAtOnce(t *testing.T) {
	const get, post = "GET /acme.git/info/refs", "POST /acme.git/git-upload-pack"
	for name, c := range map[string]struct {
		// answer is how the second repository differs: it answers a request, or reports that stock Git is to.
		answer func(w http.ResponseWriter, r *http.Request) bool
		asked  []string
		kind   remote.Kind
	}{
		"it is like the first": {asked: []string{post, post}},
		"it speaks version 0 alone": {
			answer: func(_ http.ResponseWriter, r *http.Request) bool { r.Header.Del("Git-Protocol"); return false },
			asked:  []string{post, get, get},
		},
		"it has moved": {
			answer: func(w http.ResponseWriter, r *http.Request) bool {
				moved := strings.HasPrefix(r.URL.Path, "/acme.git")
				if moved {
					http.Redirect(w, r, strings.Replace(r.URL.String(), "acme", "first", 1), http.StatusMovedPermanently)
				}
				return moved
			},
			asked: []string{post, get, "GET /first.git/info/refs", "POST /first.git/git-upload-pack", "POST /first.git/git-upload-pack"},
		},
		"it has a hash of its own": {
			answer: func(w http.ResponseWriter, r *http.Request) bool {
				r.URL.Path = strings.Replace(r.URL.Path, "acme", "other", 1)
				return false
			},
			asked: []string{post, get, post, get}, kind: remote.Unavailable,
		},
		"it is none": {
			answer: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					http.Error(w, "only GET is served", http.StatusMethodNotAllowed)
				} else {
					http.NotFound(w, r)
				}
				return true
			},
			asked: []string{post, get, post, get}, kind: remote.NotFound,
		},
		"the credential is refused": {
			answer: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusUnauthorized); return true },
			asked:  []string{post, post}, kind: remote.Denied,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			main := s.commit("main", "a", "1")
			s.git("clone", "-q", "--mirror", "acme.git", "first.git")
			s.git("init", "-q", "--bare", "--object-format=sha256", "other.git")
			h := s.handler()
			var mu sync.Mutex
			var asked []string
			server := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				asked = append(asked, r.Method+" "+r.URL.Path)
				second := len(asked) > 2
				mu.Unlock()
				if !second || c.answer == nil || !c.answer(w, r) {
					h.ServeHTTP(w, r)
				}
			}))
			hosts := remote.NewHosts(remote.HostsConfig{})
			t.Cleanup(hosts.Close)
			if _, err := openAt(t, hosts, remote.Settings{URL: server.URL + "/first.git"}).Refs(t.Context(), "refs/heads/main"); err != nil {
				t.Fatal(err)
			}
			r := openAt(t, hosts, remote.Settings{URL: server.URL + "/acme.git"})
			for range 2 {
				refs, err := r.Refs(t.Context(), "refs/heads/main")
				if remote.KindOf(err) != c.kind || err == nil && refs.Hashes["refs/heads/main"] != main {
					t.Errorf("got %+v, %v", refs, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if got := asked[2:]; !slices.Equal(got, c.asked) {
				t.Errorf("it was asked %q", got)
			}
		})
	}
}

func TestWhatIsGoneIsTold(t *testing.T) {
	overEachCarrier(t, func(t *testing.T, s *server, r *remote.Remote) {
		s.commit("main", "a", "1")
		unknown := object.NameOf(object.KindBlob, []byte("nobody has this"))
		err := r.Fetch(t.Context(), remote.Wanted{Wants: []object.Hash{unknown}, MaxBytes: 1 << 20}, discard)
		if !errors.Is(err, remote.Stale) {
			t.Errorf("an object: %v", err)
		}
		s.git("-C", "acme.git", "update-ref", "-d", "refs/heads/main")
		refs, err := r.Refs(t.Context(), "refs/heads/")
		if err != nil || !refs.Empty || len(refs.Hashes) != 0 {
			t.Errorf("the branch: %+v, %v", refs, err)
		}
		if err := os.RemoveAll(s.dir + "/acme.git"); err != nil {
			t.Fatal(err)
		}
		if _, err = r.Refs(t.Context(), "refs/heads/"); !errors.Is(err, remote.NotFound) {
			t.Errorf("the repository: %v", err)
		}
		if _, err = r.OpenPush(t.Context()); !errors.Is(err, remote.NotFound) {
			t.Errorf("the repository, for a push: %v", err)
		}
		s.git("init", "-q", "--bare", "-b", "trunk", "acme.git")
		s.git("-C", "acme.git", "config", "http.receivepack", "true")
		trunk := s.commit("trunk", "a", "1")
		if refs, err = r.Refs(t.Context(), "refs/heads/"); err != nil || refs.Hashes["HEAD"] != trunk || refs.Head != "refs/heads/trunk" {
			t.Errorf("when it is back: %+v, %v", refs, err)
		}
	})
}

func TestAnErrorOfWhoTakesThePackIsTheirs(t *testing.T) {
	overEachCarrier(t, func(t *testing.T, s *server, r *remote.Remote) {
		first := s.commit("main", "a", "1")
		full := errors.New("the disk is full")
		w := remote.Wanted{Wants: []object.Hash{first}, MaxBytes: 1 << 20}
		if err := r.Fetch(t.Context(), w, func(io.Reader) error { return full }); err != full {
			t.Errorf("got %v", err)
		}
		w.MaxBytes = 20
		if err := r.Fetch(t.Context(), w, discard); !errors.Is(err, remote.TooLarge) {
			t.Errorf("a pack over the limit: %v", err)
		}
		w.MaxBytes = 1 << 20
		if err := r.Fetch(t.Context(), w, discard); err != nil {
			t.Errorf("after that: %v", err)
		}
	})
}

// big is what stays larger than 1 MiB in a pack.
var big = func() string {
	var b strings.Builder
	for i := range 80_000 {
		fmt.Fprintf(&b, "%x", sha1.Sum([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))
	}
	return b.String()
}()

func TestABigPushGoesOutInPieces(t *testing.T) {
	overEachCarrier(t, func(t *testing.T, s *server, r *remote.Remote) {
		c := newClone(t)
		first := c.commit("main", "a", big)
		pack := c.pack(first, object.Hash{})
		push := func(pack func() io.Reader) error {
			session, err := r.OpenPush(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			return session.Push(t.Context(), []remote.Update{{Ref: "refs/heads/main", New: first}}, pack)
		}
		broken := errors.New("the disk is broken")
		for _, before := range []int64{10, 1500 << 10} { // before and after a part of it was sent
			err := push(func() io.Reader { return io.MultiReader(io.LimitReader(pack(), before), iotest.ErrReader(broken)) })
			if !errors.Is(err, broken) || remote.KindOf(err) != "" {
				t.Errorf("a pack that can't be read after %d bytes: %v", before, err)
			}
		}
		if got := s.git("-C", "acme.git", "for-each-ref"); got != "" {
			t.Errorf("the remote has %s", got)
		}
		if err := push(pack); err != nil {
			t.Fatal(err)
		}
		if got := s.head("main"); got != first {
			t.Errorf("the remote is at %s, want %s", got, first)
		}
	})
}
