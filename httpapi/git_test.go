package httpapi

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/githttp/prereceive"
	"secretsync/reconcile"
)

// gitWorld is a world whose repositories are served to stock git, and a person
// with a clone.
type gitWorld struct {
	*world
	served *githttp.Server
	home   string // of the person
	told   *auditors
}

func newGitWorld(t testing.TB, change ...func(*githttp.Config)) *gitWorld {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := githttp.Config{Dir: filepath.Join(t.TempDir(), "git"), Hook: self}
	for _, f := range change {
		f(&cfg)
	}
	w := &gitWorld{home: t.TempDir(), told: &auditors{}}
	if w.served, err = githttp.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.served.Close)
	w.world = newWorld(t, func(c *Config) {
		c.Git, c.Audit = w.served, w.told
		for i := range c.Tenants {
			c.Tenants[i].Clone = w.clone(c.Tenants[i].Name.String())
		}
	})
	// newWorld's folder is known only now.
	for i := range w.settings.Tenants {
		w.settings.Tenants[i].Clone = w.clone(w.settings.Tenants[i].Name.String())
	}
	w.reconfigure(w.settings)
	return w
}

func (w *gitWorld) clone(tenant string) *Clone {
	c := &Clone{Rules: prereceive.Rules{
		Git: w.served.Git(), Tenant: tenant, Branch: "main", Definitions: 10,
		Grants: map[string]reconcile.Grant{"production": {Namespaces: []string{"default", "team-*"}}},
	}}
	if w.world != nil {
		c.Folder = filepath.Join(w.dir, tenant+".git")
	}
	return c
}

// remote is the URL of acme's repository with a key in it.
func (w *gitWorld) remote(key string) string { return withKey(w.url, key) + "/git/acme.git" }

func withKey(base, key string) string {
	u, _ := url.Parse(base)
	u.User = url.UserPassword("anybody", key)
	return u.String()
}

// command is stock git, as a person runs it.
func (w *gitWorld) command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Dana", "GIT_AUTHOR_EMAIL=dana@example.com", "GIT_COMMITTER_NAME=Dana", "GIT_COMMITTER_EMAIL=dana@example.com",
	}
	return cmd
}

// git runs stock git, which must do it, and returns what it says.
func (w *gitWorld) git(dir string, args ...string) string {
	w.Helper()
	out, err := w.command(dir, args...).CombinedOutput()
	if err != nil {
		w.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// refuses runs stock git, which must fail and say all of these.
func (w *gitWorld) refuses(dir string, args []string, says ...string) string {
	w.Helper()
	out, err := w.command(dir, args...).CombinedOutput()
	if err == nil {
		w.Errorf("git %v: succeeds; it was to be refused\n%s", args, out)
	}
	for _, words := range says {
		if !strings.Contains(string(out), words) {
			w.Errorf("git %v: says\n%s\nwithout %q", args, out, words)
		}
	}
	return string(out)
}

// checkout is a clone of acme's repository with the admin's key.
func (w *gitWorld) checkout() string {
	w.Helper()
	dir := filepath.Join(w.TempDir(), "checkout")
	w.git(w.home, "clone", "-q", w.remote(w.admin), dir)
	return dir
}

// write commits files in a checkout; empty content removes one.
func (w *gitWorld) write(dir string, files ...string) {
	w.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if files[i+1] == "" {
			if err := os.Remove(path); err != nil {
				w.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			w.Fatal(err)
		}
	}
	w.git(dir, "add", "-A")
	w.git(dir, "commit", "-q", "-m", "a change")
}

// awaitServed waits until the store shows a definition of acme, or that it is gone.
func (w *gitWorld) awaitServed(name string, there bool) {
	w.Helper()
	parsed, err := definition.ParseName(name)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	s := w.repository.Snapshot()
	for {
		if _, ok := s.Get(parsed); ok == there {
			return
		}
		if s, err = w.repository.Wait(ctx, s); err != nil {
			w.Fatalf("%s: %v", name, err)
		}
	}
}

func (w *gitWorld) fsck() {
	w.Helper()
	if out := w.repository.MustGit("fsck", "--strict", "--no-dangling"); out != "" {
		w.Errorf("git fsck: %s", out)
	}
}

func valid(name, namespace string) string {
	return fmt.Sprintf("name: %s\nsecretPath: a/%s\nsync:\n  - cluster: production\n    namespace: %s\n", name, name, namespace)
}

func TestStockGitClonesFetchesAndPushesOverHTTP(t *testing.T) {
	w := newGitWorld(t)
	w.must(201, "POST", "/secrets", `{"name":"first","secretPath":"a","sync":[]}`)
	w.must(201, "POST", "/secrets", `{"name":"second","secretPath":"a","sync":[]}`)
	dir := w.checkout()
	w.write(dir, "secrets/mine.yaml", valid("mine", "default"))
	w.git(dir, "push", "-q", "origin", "HEAD:main")
	w.awaitServed("mine", true)

	other := filepath.Join(t.TempDir(), "other")
	w.git(w.home, "clone", "-q", "--depth=1", w.remote(w.reader), other)
	if got := w.git(other, "rev-list", "--count", "HEAD"); got != "1" {
		t.Errorf("a shallow clone holds %s commits; want 1", got)
	}
	w.git(other, "fetch", "-q", "--unshallow")
	if got := w.git(other, "rev-list", "--count", "HEAD"); got != "3" {
		t.Errorf("the whole history has %s commits; want 3", got)
	}
	partial := filepath.Join(t.TempDir(), "partial")
	w.git(w.home, "clone", "-q", "--filter=blob:none", w.remote(w.reader), partial)
	for _, version := range []string{"0", "1", "2"} {
		w.git(w.home, "-c", "protocol.version="+version, "clone", "-q", w.remote(w.reader), filepath.Join(t.TempDir(), "v"+version))
	}
	w.must(201, "POST", "/secrets", `{"name":"third","secretPath":"a","sync":[]}`)
	w.git(other, "pull", "-q", "--ff-only")
	if _, err := os.Stat(filepath.Join(other, "secrets/third.yaml")); err != nil {
		t.Error(err)
	}

	w.git(dir, "tag", "v1")
	w.git(dir, "push", "-q", "origin", "v1", "HEAD:refs/heads/feature")
	w.git(dir, "push", "-q", "origin", "--delete", "feature")
	if got := w.repository.MustGit("for-each-ref", "--format=%(refname)"); got != "refs/heads/main\nrefs/tags/v1" {
		t.Errorf("references: %s", got)
	}
	if got := w.repository.MustGit("log", "-1", "--format=%an <%ae>", "v1"); got != "Dana <dana@example.com>" {
		t.Errorf("the author is %s", got)
	}
	w.fsck()
	for _, line := range []string{"refs/heads/main ", "refs/tags/v1 000000000000..", "refs/heads/feature "} {
		if !strings.Contains(w.logs.String(), line) {
			t.Errorf("the log says nothing of %s", line)
		}
	}
	if logs := w.logs.String(); strings.Contains(logs, w.admin) || strings.Contains(logs, w.reader) {
		t.Error("a key stands in the log")
	}
}

func TestAPushThatMakesTheBranchWorseIsRefusedInTheTerminal(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		says  []string
	}{
		{"a file that is no definition", []string{"secrets/bad.yaml", "name: bad\nsecretpath: a\n"},
			[]string{"remote: secretsync: the push to main is refused", "remote:   secrets/bad.yaml:2: ", "secretPath"}},
		{"a cluster that is not registered", []string{"secrets/bad.yaml", strings.Replace(valid("bad", "default"), "production", "mars", 1)},
			[]string{"secrets/bad.yaml:4: sync[0]: cluster mars is not registered for tenant acme"}},
		{"a namespace that is not granted", []string{"secrets/bad.yaml", valid("bad", "kube-system")},
			[]string{"secrets/bad.yaml:4: sync[0]: namespace kube-system of cluster production is not granted"}},
		{"a target that another definition claims", []string{"secrets/bad.yaml", valid("bad", "default") + "    secretName: there\n"},
			// The newcomer's name is the lesser one; it is told of all the same.
			[]string{"secrets/bad.yaml:4: sync[0] claims production/default/there, which definition there claims on line 4 of secrets/there.yaml", "mend 1 mistake:"}},
		{"a file that belongs to no definition", []string{"secrets/README.md", "read me\n"},
			[]string{"secrets/README.md: is not named <name>.yaml"}},
		{"a folder", []string{"secrets/team/a.yaml", valid("a", "default")}, []string{"secrets/team: is a folder"}},
		{"a file that is too large", []string{"secrets/bad.yaml", valid("bad", "default") + strings.Repeat("# \n", 30_000)},
			[]string{"secrets/bad.yaml: is larger than 64 KiB"}},
		{"several mistakes", []string{"secrets/bad.yaml", "name: other\nsecretPath: /a\n", "secrets/worse.yaml", "- \n"},
			[]string{"mend 3 mistakes:", "secrets/bad.yaml:1: ", "secrets/bad.yaml:2: ", "secrets/worse.yaml:1: "}},
		{"too many definitions", func() (files []string) {
			for i := range 10 {
				name := fmt.Sprintf("more-%d", i)
				files = append(files, "secrets/"+name+".yaml", valid(name, "default"))
			}
			return files
		}(), []string{"secrets: holds 11 definitions and 10 are allowed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newGitWorld(t)
			w.push("secrets/there.yaml", valid("there", "default"))
			head := w.repository.Snapshot().Head()
			dir := w.checkout()
			w.write(dir, c.files...)
			w.refuses(dir, []string{"push", "origin", "HEAD:main"}, append(c.says, "pre-receive hook declined")...)
			if got := w.repository.MustGit("rev-parse", "main"); got != head.String() {
				t.Errorf("main is %s; it was %s", got, head)
			}
			w.git(dir, "push", "-q", "origin", "HEAD:draft") // other branches are free
			w.fsck()
		})
	}
}

func TestASymbolicLinkIsRefused(t *testing.T) {
	w := newGitWorld(t)
	w.push("secrets/there.yaml", valid("there", "default"))
	dir := w.checkout()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "secrets/link.yaml")); err != nil {
		t.Fatal(err)
	}
	w.write(dir)
	w.refuses(dir, []string{"push", "origin", "HEAD:main"}, "secrets/link.yaml: is a symbolic link")
}

func TestWhatWasWrongBeforeStandsInNobodysWay(t *testing.T) {
	w := newGitWorld(t)
	w.push("secrets/invalid.yaml", "name: wrong\n")
	w.push("secrets/Strange", "x\n")
	w.push("secrets/beta.yaml", valid("beta", "default"))
	w.push("secrets/alpha.yaml", valid("alpha", "default")+"    secretName: beta\n")
	w.push("secrets/lost.yaml", strings.Replace(valid("lost", "nowhere"), "production", "mars", 1))
	dir := w.checkout()
	w.write(dir, "secrets/new.yaml", valid("new", "team-x"))
	w.git(dir, "push", "-q", "origin", "HEAD:main")
	w.write(dir, "secrets/lost.yaml", "# a comment\n"+strings.Replace(valid("lost", "nowhere"), "production", "mars", 1))
	w.git(dir, "push", "-q", "origin", "HEAD:main")
	w.write(dir, "secrets/invalid.yaml", "name: wrong\n# still\n")
	w.refuses(dir, []string{"push", "origin", "HEAD:main"}, "secrets/invalid.yaml")
	w.git(dir, "reset", "-q", "--hard", "HEAD~1")
	w.write(dir, "secrets/invalid.yaml", valid("invalid", "default")) // one mend of several
	w.git(dir, "push", "-q", "origin", "HEAD:main")
	w.write(dir, "secrets/Strange", "", "secrets/alpha.yaml", "")
	w.git(dir, "push", "-q", "origin", "HEAD:main")
	w.awaitServed("alpha", false)
	w.fsck()
}

func TestKeysOpenRepositoriesAsTheyOpenTheAPI(t *testing.T) {
	w := newGitWorld(t)
	w.push("secrets/there.yaml", valid("there", "default"))
	into := func() string { return filepath.Join(t.TempDir(), "clone") }
	head := w.repository.MustGit("rev-parse", "main")

	w.refuses(w.home, []string{"clone", w.url + "/git/acme.git", into()}, "could not read Username")
	w.refuses(w.home, []string{"clone", w.remote("kupe_ak-nobody_x"), into()}, "Authentication failed", "remote: the API key is not valid")
	w.refuses(w.home, []string{"clone", w.remote(w.expired), into()}, "Authentication failed", "remote: the API key has expired")
	w.refuses(w.home, []string{"clone", w.remote(w.globex), into()}, "403", "remote: this API key gives no access to that tenant")
	w.refuses(w.home, []string{"clone", withKey(w.url, w.globex) + "/git/nobody.git", into()}, "403", "remote: this API key gives no access to that tenant")
	w.refuses(w.home, []string{"clone", strings.TrimSuffix(w.remote(w.admin), ".git"), into()}, "not found", "remote: no such path")

	dir := into()
	w.git(w.home, "clone", "-q", w.remote(w.reader), dir)
	w.write(dir, "secrets/mine.yaml", valid("mine", "default"))
	w.refuses(dir, []string{"push", "origin", "HEAD:main"}, "403", "remote: this API key may fetch and not push")
	if got := w.repository.MustGit("rev-parse", "main"); got != head {
		t.Errorf("main is %s; it was %s", got, head)
	}
	w.git(w.home, "-c", "http.extraHeader=Authorization: Bearer "+w.reader, "clone", "-q", w.url+"/git/acme.git", into())

	for _, c := range []struct{ name, method, path, key, want string }{
		{"the challenge", "GET", "/git/acme.git/info/refs?service=git-upload-pack", "", `401 Basic realm="secretsync", charset="UTF-8"`},
		{"the same of a tenant that does not exist", "GET", "/git/nobody.git/info/refs?service=git-upload-pack", "", `401 Basic realm="secretsync", charset="UTF-8"`},
		{"the same of a path that does not exist", "GET", "/git/", "", `401 Basic realm="secretsync", charset="UTF-8"`},
		{"the dumb protocol", "GET", "/git/acme.git/info/refs", w.reader, "400 "},
		{"a file of the dumb protocol", "GET", "/git/acme.git/HEAD", w.reader, "404 "},
		{"a path out of it", "GET", "/git/acme.git/../globex.git/info/refs?service=git-upload-pack", w.reader, "404 "},
		{"another service", "GET", "/git/acme.git/info/refs?service=git-upload-archive", w.reader, "400 "},
		{"a push with a readonly key", "POST", "/git/acme.git/git-receive-pack", w.reader, "403 "},
		{"a body that is none of Git's", "POST", "/git/acme.git/git-receive-pack", w.admin, "400 "},
	} {
		r, _ := http.NewRequest(c.method, w.url+c.path, strings.NewReader("0000"))
		if c.key != "" {
			r.SetBasicAuth("", c.key)
		}
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := fmt.Sprint(response.StatusCode, " ", response.Header.Get("WWW-Authenticate")); got != c.want {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
	}
}

func TestGuessesAtKeysByGitAreSlowedDown(t *testing.T) {
	w := newGitWorld(t)
	w.settings.Limits.FreeFailures = 1
	w.reconfigure(w.settings)
	for range 2 {
		w.refuses(w.home, []string{"ls-remote", w.remote("kupe_ak-nobody_x")}, "Authentication failed")
	}
	w.refuses(w.home, []string{"ls-remote", w.remote("kupe_ak-nobody_y")}, "429", "remote: too many failed authentications")
}

func TestHistoryIsDroppedOnlyWhereThatIsAllowed(t *testing.T) {
	w := newGitWorld(t)
	w.push("secrets/alpha.yaml", valid("alpha", "default"))
	w.push("secrets/beta.yaml", valid("beta", "default"))
	dir := w.checkout()
	w.git(dir, "reset", "-q", "--hard", "HEAD~1")
	w.write(dir, "secrets/gamma.yaml", valid("gamma", "default"))
	w.refuses(dir, []string{"push", "--force", "origin", "HEAD:main"}, "non-fast-forward")
	w.refuses(dir, []string{"push", "origin", "--delete", "main"}, "main holds the definitions and can't be deleted")
	w.refuses(dir, []string{"push", "origin", "HEAD:refs/secretsync/mine"}, "hidden ref")
	w.refuses(dir, []string{"push", "origin", "HEAD:refs/notes/secretsync"}, "written by the server alone")
	w.refuses(dir, []string{"push", "origin", "HEAD:refs/heads/main/of"}, "rejected")
	w.repository.MustGit("config", "receive.denyNonFastForwards", "false")
	w.git(dir, "push", "-q", "--force", "origin", "HEAD:main")
	w.awaitServed("gamma", true)
	w.fsck()
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

// aliveRuns returns the processes of git that a server has started.
func (w *gitWorld) aliveRuns() []string {
	var alive []string
	processes, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range processes {
		environ, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(environ), "HOME="+w.served.Dir()) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			alive = append(alive, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return alive
}

// awaitRuns waits until something runs, or nothing does any more.
func (w *gitWorld) awaitRuns(some bool) {
	w.Helper()
	w.await("processes", func() bool { return len(w.aliveRuns()) > 0 == some })
}

// awaitLogged waits until so many requests to a service have ended.
func (w *gitWorld) awaitLogged(service string, requests int) {
	w.Helper()
	w.await("requests to "+service, func() bool {
		return strings.Count(w.logs.String(), "route=/git/:repository/"+service) >= requests
	})
}

func (w *gitWorld) await(what string, come func() bool) {
	w.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(20 * time.Second)
	for !come() {
		select {
		case <-look.C:
		case <-deadline:
			w.Fatalf("waited in vain for %s; run: %q", what, w.aliveRuns())
		}
	}
}

// request begins a request to git by hand; what it says is for the caller.
func (w *gitWorld) request(service, head string) net.Conn {
	w.Helper()
	return w.requestAs(w.admin, service, head)
}

func (w *gitWorld) requestAs(key, service, head string) net.Conn {
	w.Helper()
	u, _ := url.Parse(w.url)
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(c, "POST /git/acme.git/%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-%s-request\r\n%s\r\n", service, u.Host, key, service, head)
	return c
}

func TestAClientThatLeavesOrStallsLeavesNoProcessBehind(t *testing.T) {
	w := newGitWorld(t, func(c *githttp.Config) { c.IdleTimeout = time.Second })
	w.push("secrets/there.yaml", valid("there", "default"))
	head := w.repository.MustGit("rev-parse", "main")
	const zero = "0000000000000000000000000000000000000000"
	for name, service := range map[string]string{"fetches": "git-upload-pack", "pushes": "git-receive-pack"} {
		t.Run("one that "+name+" and leaves", func(t *testing.T) {
			c := w.request(service, "Transfer-Encoding: chunked\r\n")
			fmt.Fprintf(c, "4\r\n0098\r\n")
			w.awaitRuns(true)
			c.Close()
			w.awaitRuns(false)
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
		w.awaitLogged("git-receive-pack", 3)
		w.awaitRuns(false)
	})
	t.Run("one that fetches and doesn't read", func(t *testing.T) {
		w.push("noise", noise(16<<20))
		want := fmt.Sprintf("want %s side-band-64k ofs-delta\n", w.repository.MustGit("rev-parse", "main"))
		body := fmt.Sprintf("%04x%s00000009done\n", len(want)+4, want)
		c := w.request("git-upload-pack", fmt.Sprintf("Content-Length: %d\r\n", len(body)))
		fmt.Fprint(c, body)
		w.awaitLogged("git-upload-pack", 3)
		w.awaitRuns(false)
	})
	if left, _ := filepath.Glob(filepath.Join(w.repository.GitDir, "objects", "*tmp*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	w.fsck()
}

func TestTheEndOfTheServerEndsGit(t *testing.T) {
	w := newGitWorld(t)
	w.push("secrets/there.yaml", valid("there", "default"))
	c := w.request("git-receive-pack", "Content-Length: 1000000\r\n")
	fmt.Fprint(c, "0098")
	w.awaitRuns(true)
	w.served.Close()
	if alive := w.aliveRuns(); len(alive) > 0 {
		t.Errorf("still run: %q", alive)
	}
	w.refuses(w.home, []string{"ls-remote", w.remote(w.reader)}, "503", "try again")
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
	w.git(w.home, "ls-remote", w.remote(w.reader))
}

func TestWithoutGitOrWhereItIsNotServedTheAnswerSaysSo(t *testing.T) {
	w := newGitWorld(t, func(c *githttp.Config) { c.Command = "/nonexistent/git" })
	w.refuses(w.home, []string{"ls-remote", w.remote(w.reader)}, "501", "remote: git is not usable on the server", "install the package git")
	if r := w.do("GET", "/readyz", "", ""); r.status != 200 {
		t.Errorf("%s: %d", r.call, r.status)
	}
	r, _ := http.NewRequest("GET", w.url+"/git/acme.git/info/refs?service=git-upload-pack", nil)
	r.SetBasicAuth("", w.reader)
	r.Header.Set("Accept", "application/json")
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); !strings.HasPrefix(string(body), `{"error":"git is not usable`) {
		t.Errorf("%s", body)
	}

	settings := w.settings
	settings.Tenants = slices.Clone(settings.Tenants)
	settings.Tenants[0].Clone = nil
	w.reconfigure(settings)
	w.refuses(w.home, []string{"ls-remote", w.remote(w.reader)}, "not found", "remote: the repository of this tenant is not served here: clone it from its remote URL")
}

func TestWithoutItsHookNothingIsPushed(t *testing.T) {
	hook := filepath.Join(t.TempDir(), "program")
	w := newGitWorld(t, func(c *githttp.Config) { c.Hook = hook })
	w.push("secrets/there.yaml", valid("there", "default"))
	dir := w.checkout()
	w.write(dir, "secrets/mine.yaml", valid("mine", "default"))
	head := w.repository.MustGit("rev-parse", "main")
	w.refuses(dir, []string{"push", "origin", "HEAD:main"})
	if err := os.WriteFile(hook, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.refuses(dir, []string{"push", "origin", "HEAD:main"})
	if got := w.repository.MustGit("rev-parse", "main"); got != head {
		t.Errorf("main is %s; it was %s", got, head)
	}
}

func TestWritesByTheAPIAndPushesGoOnSideBySide(t *testing.T) {
	w := newGitWorld(t)
	w.settings.Tenants[0].Clone.Rules.Definitions = 1000
	w.push("secrets/there.yaml", valid("there", "default"))
	var all sync.WaitGroup
	for i := range 3 {
		dir := w.checkout()
		all.Go(func() {
			for j := range 4 {
				name := fmt.Sprintf("pushed-%d-%d", i, j)
				w.write(dir, "secrets/"+name+".yaml", valid(name, "default"))
				for w.command(dir, "push", "-q", "origin", "HEAD:main").Run() != nil {
					w.git(dir, "pull", "-q", "--rebase", "origin", "main")
				}
			}
		})
	}
	all.Go(func() {
		for j := range 20 {
			for {
				r := w.do("POST", "/api/v1/tenants/acme/secrets", w.admin, fmt.Sprintf(`{"name":"written-%d","secretPath":"a","sync":[]}`, j))
				if r.status == 201 {
					break
				}
				if r.status != 503 {
					t.Errorf("%s: %d %s", r.call, r.status, r.body)
					return
				}
			}
		}
	})
	all.Wait()
	if got := w.repository.MustGit("rev-list", "--count", "main"); got != "33" {
		t.Errorf("main has %s commits; want 33", got)
	}
	w.fsck()
}

func TestPushesGoOverHTTP2AsWell(t *testing.T) {
	w := newGitWorld(t)
	w.push("secrets/there.yaml", valid("there", "default"))
	server := httptest.NewUnstartedServer(w.server.Handler())
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	dir := filepath.Join(t.TempDir(), "clone")
	trust := []string{"-c", "http.sslVerify=false", "-c", "http.version=HTTP/2"}
	w.git(w.home, append(trust, "clone", "-q", withKey(server.URL, w.admin)+"/git/acme.git", dir)...)
	w.write(dir, "secrets/mine.yaml", valid("mine", "default"))
	w.git(dir, append(trust, "push", "-q", "origin", "HEAD:main")...)
	w.write(dir, "secrets/bad.yaml", "name: x\n")
	w.refuses(dir, append(trust, "-c", "http.postBuffer=1", "push", "origin", "HEAD:main"), "secrets/bad.yaml")
	w.awaitServed("mine", true)
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

func TestARepositoryThatIsFullIsFetchedAndNotPushedTo(t *testing.T) {
	w := newGitWorld(t, func(c *githttp.Config) { c.MaxRepository = 1 })
	w.must(201, "POST", "/secrets", `{"name":"first","secretPath":"a","sync":[]}`)
	dir := w.checkout()
	w.write(dir, "README", "x")
	w.refuses(dir, []string{"push", "origin", "HEAD:main"}, "507", "remote: the repository is full")
}

func TestAMirrorIsClonedFromWhereItsRemoteIs(t *testing.T) {
	w := newGitWorld(t)
	w.settings.Tenants[0].Repository = mirror{w.repository}
	w.reconfigure(w.settings)
	w.refuses(w.home, []string{"ls-remote", w.remote(w.admin)}, "remote: the repository of this tenant is not served here: clone it from its remote URL")
}

type mirror struct{ Repository }

func (mirror) Freshness() gitstore.Freshness {
	return gitstore.Freshness{Remote: "https://forge.example.org/acme/secrets.git"}
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
