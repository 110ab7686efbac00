package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"secretsync/gitstore"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/tenants"
)

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
	w.awaitLogged("git-receive-pack", 3) // a push is over before its line is written
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

type mirror struct{ tenants.Repository }

func (mirror) Freshness() gitstore.Freshness {
	return gitstore.Freshness{Remote: "https://forge.example.org/acme/secrets.git"}
}
