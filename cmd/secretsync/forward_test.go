package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Stock git, a browser and who waits are served by any replica, wherever the tenant is.
func TestGitPagesAndEventsComeThroughAnyReplica(t *testing.T) {
	f := newFleet(t, 3, 6, calm)
	a, b, c := f.replicas[0], f.replicas[1], f.replicas[2]
	pinned := f.pin("pinned", a.name)
	f.answers(a, b, c)

	remote := func(r *process) string {
		u, err := url.Parse(r.url + "/git/pinned.git")
		f.must(err)
		u.User = url.UserPassword("anybody", pinned.Secret)
		return u.String()
	}
	dir := filepath.Join(t.TempDir(), "clone")
	git := func(args ...string) string {
		t.Helper()
		return f.command(append([]string{"git", "-C", dir, "-c", "user.name=Dana", "-c", "user.email=dana@example.com"}, args...)...)
	}
	f.command("git", "clone", "-q", remote(b), dir)
	f.must(os.MkdirAll(filepath.Join(dir, "secrets"), 0o755))
	definition := fmt.Sprintf("name: pushed\nsecretPath: value\nsync:\n  - cluster: production\n    namespace: %s\n    secretName: pinned-pushed\n", f.namespace)
	f.must(os.WriteFile(filepath.Join(dir, "secrets", "pushed.yaml"), []byte(definition), 0o644))
	large := make([]byte, 8<<20)
	random, err := os.Open("/dev/urandom")
	f.must(err)
	defer random.Close()
	_, err = io.ReadFull(random, large)
	f.must(err)
	f.must(os.WriteFile(filepath.Join(dir, "large"), large, 0o644))
	git("add", "-A")
	git("commit", "-q", "-m", "A definition, and much besides")
	git("push", "-q", remote(c), "HEAD:main")
	if got, want := strings.Fields(f.command("git", "ls-remote", remote(b), "refs/heads/main"))[0], git("rev-parse", "HEAD"); got != want {
		t.Errorf("through another replica main is %s; %s was pushed", got, want)
	}
	await(t, "the push is known", func() bool {
		status, _, err := f.call(c, pinned, "GET", "/secrets/pushed", "", "look")
		return err == nil && status == http.StatusOK
	})
	for _, r := range []*process{b, c, a} {
		status, answer, err := f.call(r, pinned, "GET", "/secrets/pushed?wait=Active&timeout=1s", "", "waits-at-"+r.name)
		if err != nil || status != http.StatusOK {
			t.Errorf("waiting at %s: %d %s %v", r.name, status, answer, err)
		}
	}

	// The jar takes all replicas for one host, as a browser does behind a load balancer.
	jar, err := cookiejar.New(nil)
	f.must(err)
	person := &http.Client{Jar: jar, Timeout: time.Minute}
	page := func(r *process, path string) string {
		t.Helper()
		response, err := person.Get(r.url + path)
		f.must(err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		f.must(err)
		return string(text)
	}
	for i := range f.tenants {
		tenant := &f.tenants[i]
		response, err := person.PostForm(f.replicas[i%3].url+"/console/sign-in", url.Values{"key": {tenant.Secret}})
		f.must(err)
		response.Body.Close()
		for _, r := range f.replicas {
			if text := page(r, "/console/tenant"); !strings.Contains(text, "Sign out") || !strings.Contains(text, tenant.Name) {
				t.Errorf("%s shows who signed in as %s\n%.1000s", r.name, tenant.Name, text)
			}
		}
	}
	// The last one who signed in is of the pinned tenant, and looks on.
	live, err := person.Get(c.url + "/console/live")
	f.must(err)
	defer live.Body.Close()
	events := bufio.NewScanner(live.Body)
	if !events.Scan() || events.Text() != "retry: 5000" {
		t.Fatalf("events begin with %q %v", events.Text(), events.Err())
	}
	if status, answer, err := f.call(b, pinned, "PATCH", "/secrets/pushed", `{"sync":[]}`, "changes"); err != nil || status != http.StatusOK {
		t.Fatal(status, answer, err)
	}
	for events.Text() != "event: change" {
		if !events.Scan() {
			t.Fatalf("the events end: %v", events.Err())
		}
	}
	for _, r := range []*process{b, c} {
		if log := readFile(t, filepath.Join(r.dir, "server.log")); !strings.Contains(log, "forwarded_to=") || strings.Contains(log, pinned.Secret) {
			t.Errorf("%s logs nothing of what it passed on, or a key", r.name)
		}
	}
	for _, r := range f.replicas {
		f.must(r.stop(15))
	}
}
