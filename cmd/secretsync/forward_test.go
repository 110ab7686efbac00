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

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

// pin adds a tenant whose repository lies at one replica, and is served to stock git there.
func (f *fleet) pin(name, replica string) *fleetTenant {
	f.Helper()
	parsed, err := gitstore.ParseTenantName(name)
	f.must(err)
	key, plaintext := apikey.New(parsed, apikey.Admin, "Admin of "+name)
	_, err = f.stack.Vault.PutSecret(f.Context(), "secret", f.prefix+"/"+name+"/value", map[string]any{"of": name})
	f.must(err)
	for _, r := range f.replicas {
		path := filepath.Join(r.dir, "secretsync.yaml")
		config := readFile(f.T, path) + fmt.Sprintf(`  %s:
    onReplica: %s
    vault: {prefix: %s/%s}
    clusters:
      production: {namespaces: [%q]}
    keys:
      - {id: %s, displayName: %s, role: %s, hash: "%s"}
`, name, replica, f.prefix, name, f.namespace, key.ID, key.DisplayName, key.Role, key.Hash)
		f.must(os.WriteFile(path+".new", []byte(config), 0o600))
		f.must(os.Rename(path+".new", path))
	}
	// Before it is known its key is a guess, and guesses make an address wait.
	for _, r := range f.replicas {
		await(f.T, r.name+" knows "+name, func() bool {
			return strings.Contains(readFile(f.T, filepath.Join(r.dir, "server.log")), "tenants."+name+" (added)")
		})
	}
	f.tenants = append(f.tenants, fleetTenant{name, plaintext, key})
	return &f.tenants[len(f.tenants)-1]
}

// Stock git, a browser and who waits are served by any replica, wherever the tenant is.
func TestGitPagesAndEventsComeThroughAnyReplica(t *testing.T) {
	f := newFleet(t, 3, 6, 4*time.Second)
	defer func() {
		for _, r := range f.replicas {
			if log := readFile(t, filepath.Join(r.dir, "server.log")); t.Failed() {
				t.Logf("the end of the log of %s:\n%s", r.name, log[max(0, len(log)-4000):])
			}
		}
	}()
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
		status, answer, err := f.call(r, pinned, "GET", "/secrets/pushed?wait=Active&timeout=4s", "", "waits-at-"+r.name)
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
