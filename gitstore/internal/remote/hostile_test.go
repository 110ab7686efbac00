package remote_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/remote"
)

var someID = object.NameOf(object.KindBlob, []byte("a"))

func line(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

// endlessly writes until nobody listens any more.
func endlessly(w io.Writer, text string) {
	block := bytes.Repeat([]byte(text), 1+(64<<10)/len(text))
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// hostile answers every request with a beginning and then with one line forever.
func hostile(begin, forever string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		service := r.URL.Query().Get("service")
		if service != "" {
			w.Header().Set("Content-Type", "application/x-"+service+"-advertisement")
		} else {
			w.Header().Set("Content-Type", "application/x-"+r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]+"-result")
			io.Copy(io.Discard, r.Body)
		}
		if service == "git-upload-pack" && begin != "" {
			io.WriteString(w, line("version 2\n")+line("ls-refs\n")+line("fetch\n")+"0000")
			return
		}
		io.WriteString(w, begin)
		endlessly(w, forever)
	})
}

func TestWhatNeverEndsIsEnded(t *testing.T) {
	ref := func(i string) string { return line(someID.String() + " refs/heads/" + i + "\n") }
	settings := func(h http.Handler) remote.Settings {
		return remote.Settings{URL: listen(t, h).URL + "/acme.git", MaxAdvertisement: 4 << 20, MaxRefs: 1000}
	}
	for name, h := range map[string]http.Handler{
		"references nobody asked for": hostile("", line(someID.String()+" refs/pull/1/head\n")),
		"references asked for":        hostile("", ref("a")),
		"long references":             hostile("", ref(strings.Repeat("a", 60000))),
		"version 2, references":       hostile(ref("a"), ref("b")),
		"version 2, capabilities":     hostile("", line("version 2\n")),
		"no pkt-lines":                hostile("", "<html>"),
		"empty lines":                 hostile("", "0004"),
	} {
		_, err := open(t, settings(h)).Refs(t.Context(), "refs/heads/")
		if !errors.Is(err, remote.TooLarge) && !errors.Is(err, remote.Unavailable) || len(err.Error()) > 2000 {
			t.Errorf("%s: %.300v", name, err)
		}
	}
	for name, h := range map[string]http.Handler{
		"a pack":         hostile(line("packfile\n"), line("\x01"+strings.Repeat("x", 1000))),
		"progress":       hostile(line("packfile\n"), line("\x02"+strings.Repeat("x", 1000))),
		"empty channels": hostile(line("packfile\n"), line("\x01")),
		"sections":       hostile(line("packfiles\n"), line("nothing\n")),
	} {
		w := remote.Wanted{Wants: []object.Hash{someID}, MaxBytes: 1 << 20}
		if err := open(t, settings(h)).Fetch(t.Context(), w, discard); !errors.Is(err, remote.TooLarge) {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

func TestRedirectsStayWithTheOrigin(t *testing.T) {
	s := newServer(t)
	first := s.commit("main", "a", "1")
	g := &guarded{real: s.handler()}
	g.change("s3cret")
	var leaked atomic.Bool
	elsewhere := listen(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked.Store(leaked.Load() || r.Header.Get("Authorization") != "")
	}))
	mux := http.NewServeMux()
	mux.Handle("/acme.git/", g)
	mux.HandleFunc("/old.git/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(r.URL.String(), "old", "acme", 1), http.StatusMovedPermanently)
	})
	mux.HandleFunc("/away.git/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.String(), http.StatusTemporaryRedirect)
	})
	server := listen(t, mux)
	settings := remote.Settings{URL: server.URL + "/old.git", PasswordFile: mustWrite(t, filepath.Join(t.TempDir(), "p"), []byte("s3cret"))}
	r := open(t, settings)
	for range 2 {
		if err := touchAll(t.Context(), r, first); err != nil {
			t.Errorf("a repository with a new name: %v", err)
		}
	}
	settings.URL = server.URL + "/away.git"
	_, err := open(t, settings).Refs(t.Context())
	if err == nil || !strings.Contains(err.Error(), "has moved to another address at "+elsewhere.URL) || leaked.Load() {
		t.Errorf("got %v; the credential went along: %t", err, leaked.Load())
	}
}

// A server may tell what it was told: in a status, in a line of the protocol, in
// what its hooks say, in a redirect.
//
// Seen to fail: what wasn't the protocol was quoted in part, and what was beneath
// an error quoted it, too.
func TestNoErrorTellsACredential(t *testing.T) {
	const password = "c4nary-p4ss"
	s := newServer(t)
	first := s.commit("main", "a", "1")
	real := s.handler()
	file := mustWrite(t, filepath.Join(t.TempDir(), "p"), []byte(password+"\n"))
	echo := func(r *http.Request) string {
		_, p, _ := r.BasicAuth()
		return p + " " + r.Header.Get("Authorization")
	}
	result := func(w http.ResponseWriter, r *http.Request, body string) {
		kind := "application/x-" + r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:] + "-result"
		if service := r.URL.Query().Get("service"); service != "" {
			kind = "application/x-" + service + "-advertisement"
		}
		w.Header().Set("Content-Type", kind)
		io.WriteString(w, body)
	}
	for name, do := range map[string]fault{
		"a status": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Error(w, echo(r), http.StatusForbidden)
		},
		"a fault": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Error(w, echo(r), http.StatusBadGateway)
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Location", "https://u:"+password+"@"+password+".example/?"+password)
			w.WriteHeader(http.StatusFound)
		},
		"a line":  func(w http.ResponseWriter, r *http.Request, _ http.Handler) { result(w, r, line("ERR "+echo(r))) },
		"no line": func(w http.ResponseWriter, r *http.Request, _ http.Handler) { result(w, r, echo(r)) },
		"a ref":   func(w http.ResponseWriter, r *http.Request, _ http.Handler) { result(w, r, line(echo(r))) },
		"a channel": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			result(w, r, line("packfile\n")+line("\x03"+echo(r)))
		},
		"progress": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			result(w, r, line("\x02"+echo(r))+line("\x01"+line("unpack "+echo(r))))
		},
		"long words": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			result(w, r, line("ERR "+strings.Repeat("x", 1010)+echo(r)))
		},
		"broken words": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			result(w, r, line("ERR "+strings.Join(strings.Split(echo(r), ""), "\x00")))
		},
		"a type": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", echo(r))
			w.WriteHeader(200)
		},
		"a report": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			result(w, r, line("\x02"+echo(r))+line("\x01"+line("unpack ok")+line("ng refs/heads/side "+echo(r))+"0000")+"0000")
		},
	} {
		for _, at := range []step{hearFetch, listRefs, fetchPack, hearPush, pushPack} {
			front := &faulty{real: real}
			front.set(at, do)
			r := open(t, remote.Settings{URL: listen(t, front).URL + "/acme.git", PasswordFile: file})
			err := touchAll(t.Context(), r, first)
			if err == nil {
				t.Errorf("%s at %s: no error", name, at)
				continue
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				for _, secret := range []string{password, password[:6], "eC1hY2Nlc3M"} {
					if strings.Contains(fmt.Sprintf("%v %+v", e, e), secret) {
						t.Errorf("%s at %s: %v", name, at, e)
					}
				}
			}
		}
	}
}
