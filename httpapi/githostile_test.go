package httpapi

import (
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretsync/httpapi/githttp"
)

func TestGuessesAtKeysByGitAreSlowedDown(t *testing.T) {
	w := newGitWorldOf(t, func(c *Config) { c.Clock = newHand() }) // what is to be waited for does not pass while git starts
	w.settings.Limits.FreeFailures = 1
	w.reconfigure(w.settings)
	for range 2 {
		w.refuses(w.home, []string{"ls-remote", w.remote("kupe_ak-nobody_x")}, "Authentication failed")
	}
	w.refuses(w.home, []string{"ls-remote", w.remote("kupe_ak-nobody_y")}, "429", "remote: too many failed authentications")
}

func TestHooksAndReplacedObjectsOfTheRepositoryCountForNothing(t *testing.T) {
	w := newGitWorld(t)
	w.push("secrets/there.yaml", valid("there", "default"))
	told := filepath.Join(t.TempDir(), "told")
	hooks := filepath.Join(w.repository.GitDir, "hooks")
	for _, name := range []string{"pre-receive", "update", "post-receive", "post-update", "reference-transaction", "proc-receive", "pack-objects"} {
		if err := os.MkdirAll(hooks, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(hooks, name), []byte("#!/bin/sh\necho "+name+" >>"+told+"\nexec \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.repository.MustGit("config", "uploadpack.packObjectsHook", filepath.Join(hooks, "pack-objects"))
	w.repository.MustGit("config", "core.hooksPath", hooks)
	dir := w.checkout()
	w.write(dir, "secrets/mine.yaml", valid("mine", "default"))
	w.git(dir, "push", "-q", "origin", "HEAD:main")
	if said, err := os.ReadFile(told); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ran: %s", said)
	}

	good := w.git(dir, "rev-parse", "HEAD:secrets/mine.yaml")
	w.write(dir, "secrets/mine.yaml", "name: bad\n")
	bad := w.git(dir, "rev-parse", "HEAD:secrets/mine.yaml")
	w.git(dir, "update-ref", "refs/replace/"+bad, good)
	w.git(dir, "push", "-q", "origin", "refs/replace/"+bad)
	w.refuses(dir, []string{"push", "origin", "HEAD:main"}, "secrets/mine.yaml")
}

func TestAClientThatLeavesOrStallsLeavesNoProcessBehind(t *testing.T) {
	patient := newGitWorld(t) // who leaves is not taken for one that stalls
	w := newGitWorld(t, func(c *githttp.Config) { c.IdleTimeout = time.Second })
	w.push("secrets/there.yaml", valid("there", "default"))
	head := w.repository.MustGit("rev-parse", "main")
	const zero = "0000000000000000000000000000000000000000"
	for name, service := range map[string]string{"fetches": "git-upload-pack", "pushes": "git-receive-pack"} {
		t.Run("one that "+name+" and leaves", func(t *testing.T) {
			c := patient.request(service, "Transfer-Encoding: chunked\r\n")
			fmt.Fprintf(c, "4\r\n0098\r\n")
			patient.awaitRuns(true)
			c.Close()
			patient.awaitRuns(false)
		})
		t.Run("one that "+name+" and stalls", func(t *testing.T) {
			c := w.request(service, "Content-Length: 1000000\r\n")
			fmt.Fprint(c, "0098")
			if _, err := io.ReadAll(c); err != nil { // it is hung up on
				t.Error(err)
			}
			w.awaitRuns(false)
		})
	}
	t.Run("one that pushes half a pack", func(t *testing.T) {
		command := fmt.Sprintf("%s %s refs/heads/x\x00report-status side-band-64k", zero, head)
		c := w.request("git-receive-pack", "Content-Length: 1000000\r\n")
		fmt.Fprintf(c, "%04x%s0000PACK\x00\x00\x00\x02\x00\x00\x00\x09half", len(command)+4, command)
		c.Close()
		w.awaitLogged("git-receive-pack", 2)
		w.awaitRuns(false)
	})
	t.Run("one that fetches and doesn't read", func(t *testing.T) {
		w.push("noise", noise(16<<20))
		want := fmt.Sprintf("want %s side-band-64k ofs-delta\n", w.repository.MustGit("rev-parse", "main"))
		body := fmt.Sprintf("%04x%s00000009done\n", len(want)+4, want)
		c := w.request("git-upload-pack", fmt.Sprintf("Content-Length: %d\r\n", len(body)))
		fmt.Fprint(c, body)
		w.awaitLogged("git-upload-pack", 2)
		w.awaitRuns(false)
	})
	if left, _ := filepath.Glob(filepath.Join(w.repository.GitDir, "objects", "*tmp*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	w.fsck()
}

// noise can't be compressed.
func noise(size int) string {
	b := make([]byte, size)
	for i, x := 0, uint32(1); i < len(b); i++ {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

func TestAPushOverTheLimitIsRefusedAndSaysSo(t *testing.T) {
	w := newGitWorld(t, func(c *githttp.Config) { c.MaxPush = 1 << 20 })
	w.push("secrets/there.yaml", valid("there", "default"))
	dir := w.checkout()
	w.write(dir, "noise", noise(3<<20))
	w.refuses(dir, []string{"push", "origin", "HEAD:main"}, "pack exceeds maximum allowed size")
	w.refuses(dir, []string{"-c", "http.postBuffer=10000000", "push", "origin", "HEAD:other"}, "pack exceeds maximum allowed size")
	w.awaitRuns(false)
	w.fsck()
}

func TestTooManyExchangesAtOnceAreToldToWait(t *testing.T) {
	w := newGitWorld(t, func(c *githttp.Config) { c.RunsOfTenant = 1 })
	w.push("secrets/there.yaml", valid("there", "default"))
	c := w.request("git-upload-pack", "Content-Length: 1000000\r\n")
	fmt.Fprint(c, "0098")
	w.awaitRuns(true)
	w.refuses(w.home, []string{"ls-remote", w.remote(w.reader)}, "503", "remote: too many clones and pushes at once of your tenant")
	c.Close()
	w.awaitLogged("git-upload-pack", 1) // the server sees a moment later that it was closed
	w.git(w.home, "ls-remote", w.remote(w.reader))
}

// greatObject is a pack of one object that says to be of a size, and is not there.
func greatObject(kind byte, size int) string {
	b := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01")
	head := kind<<4 | byte(size&15)
	for rest := size >> 4; rest > 0; rest >>= 7 {
		b = append(b, head|0x80)
		head = byte(rest & 0x7f)
	}
	return string(append(b, head))
}

func TestAnObjectThatWouldTakeTooMuchMemoryIsRefused(t *testing.T) {
	w := newGitWorld(t)
	w.push("secrets/there.yaml", valid("there", "default"))
	command := fmt.Sprintf("%040d %s refs/heads/x\x00report-status side-band-64k", 0, w.repository.MustGit("rev-parse", "main"))
	push := fmt.Sprintf("%04x%s0000", len(command)+4, command) + greatObject(2, 2<<30)
	c := w.request("git-receive-pack", fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n", len(push)))
	fmt.Fprint(c, push)
	said, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(said), "Out of memory") || !strings.Contains(string(said), "ng refs/heads/x") {
		t.Errorf("%v %q", err, said)
	}
	w.fsck()
}

// pushOf is the request of a push that brings no object.
func pushOf(old, new, ref string) string {
	command := fmt.Sprintf("%s %s %s\x00report-status", old, new, ref)
	pack := "PACK\x00\x00\x00\x02\x00\x00\x00\x00"
	sum := sha1.Sum([]byte(pack))
	return fmt.Sprintf("%04x%s0000%s%s", len(command)+4, command, pack, sum[:])
}

func TestHostileNamesOfReferencesAreRefused(t *testing.T) {
	w := newGitWorld(t)
	w.push("secrets/there.yaml", valid("there", "default"))
	head := w.repository.MustGit("rev-parse", "main")
	before := w.repository.MustGit("for-each-ref")
	for _, name := range []string{
		"HEAD", "config", "refs", "refs/", "refs/heads", "refs/heads/", "refs/heads/../../config", "refs/../hooks/pre-receive", "refs/heads/a..b",
		"refs/heads/x.lock", "refs/heads/a b", "refs/heads/a\x1b[2J", "refs/heads/-x\nok refs/heads/main", "/refs/heads/x", "refs//heads/x", "refs/heads/x/",
		"refs/heads/@{0}", "refs/heads/a~1", "refs/heads/.hidden", "refs/secretsync/pull/1", "refs/notes/secretsync", "refs/heads/" + w.admin,
		"refs/heads/" + strings.Repeat("x", 300), "refs/heads/" + strings.Repeat("x/", 3000) + "x",
	} {
		push := pushOf(strings.Repeat("0", 40), head, name)
		c := w.request("git-receive-pack", fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n", len(push)))
		fmt.Fprint(c, push)
		said, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("%.60q: %v", name, err)
		}
		if name == "refs/heads/"+w.admin {
			w.repository.MustGit("update-ref", "-d", name) // it is a name as any other
			continue
		}
		if got := w.repository.MustGit("for-each-ref"); got != before {
			t.Errorf("%.60q: %s\n%s", name, said, got)
			w.repository.MustGit("update-ref", "-d", name)
		}
	}
	if logs := w.logs.String(); strings.Contains(logs, "\x1b") || strings.Contains(logs, w.admin) || strings.Contains(logs, strings.Repeat("x", 300)) {
		t.Error("what was pushed stands in the log as it came")
	}
	w.fsck()
}

func TestAKeyThatIsRevokedWhileAPushComesStopsIt(t *testing.T) {
	w := newGitWorld(t)
	w.push("secrets/there.yaml", valid("there", "default"))
	head := w.repository.MustGit("rev-parse", "main")
	for _, revoked := range []bool{false, true} {
		made := w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, `{"displayName":"x","role":"admin"}`)
		var key keyBody
		if err := json.Unmarshal(made.body, &key); err != nil || made.status != 201 {
			t.Fatalf("%d %s", made.status, made.body)
		}
		ref := fmt.Sprintf("refs/heads/revoked-%t", revoked)
		push := pushOf(strings.Repeat("0", 40), head, ref)
		c := w.requestAs(key.Key, "git-receive-pack", fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n", len(push)))
		fmt.Fprint(c, push[:len(push)-1])
		w.awaitRuns(true)
		if revoked {
			if r := w.do("DELETE", "/api/v1/tenants/acme/apikeys/"+key.ID, w.admin, ""); r.status != 204 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		fmt.Fprint(c, push[len(push)-1:])
		if _, err := io.ReadAll(c); err != nil {
			t.Fatal(err)
		}
		if got := w.repository.MustGit("for-each-ref", "--format=%(refname)", ref); (got == "") != revoked {
			t.Errorf("revoked: %t; there is %q", revoked, got)
		}
	}
}
