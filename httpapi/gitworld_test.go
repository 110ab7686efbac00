package httpapi

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/githttp/prereceive"
	"secretsync/httpapi/tenants"
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
	return newGitWorldOf(t, func(*Config) {}, change...)
}

// newGitWorldOf is newGitWorld with a server that is set up so.
func newGitWorldOf(t testing.TB, api func(*Config), change ...func(*githttp.Config)) *gitWorld {
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
		api(c)
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

func (w *gitWorld) clone(tenant string) *tenants.Clone {
	c := &tenants.Clone{Rules: prereceive.Rules{
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
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
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
	deadline := time.After(time.Minute)
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
