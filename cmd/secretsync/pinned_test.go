package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

// pin adds a tenant whose repository lies at one replica, and is served to stock git there.
func (f *fleet) pin(name, replica string) *fleetTenant {
	f.Helper()
	parsed, err := gitstore.ParseTenantName(name)
	f.must(err)
	key, plaintext := apikey.New(parsed, apikey.Admin, "Admin of "+name)
	f.must(f.putValue(name, 1))
	f.reconfigure("tenants."+name+" (added)", func(config string) string {
		return config + fmt.Sprintf(`  %s:
    onReplica: %s
    vault: {prefix: %s/%s}
    clusters:
      production: {namespaces: [%q]}
    keys:
      - {id: %s, displayName: %s, role: %s, hash: "%s"}
`, name, replica, f.prefix, name, f.namespace, key.ID, key.DisplayName, key.Role, key.Hash)
	})
	f.tenants = append(f.tenants, fleetTenant{name, plaintext, key})
	return &f.tenants[len(f.tenants)-1]
}

// repin moves a tenant to another replica, by the configuration of all.
func (f *fleet) repin(name, from, to string) {
	f.Helper()
	f.reconfigure("tenants."+name+".onReplica", func(config string) string {
		return strings.Replace(config, "    onReplica: "+from+"\n", "    onReplica: "+to+"\n", 1)
	})
}

// reconfigure changes the configuration of all replicas, and waits till those that run say so.
func (f *fleet) reconfigure(saying string, change func(string) string) {
	f.Helper()
	said := func(r *process) int { return strings.Count(readFile(f.T, filepath.Join(r.dir, "server.log")), saying) }
	before := make(map[*process]int)
	for _, r := range f.replicas {
		path := filepath.Join(r.dir, "secretsync.yaml")
		before[r] = said(r)
		f.must(os.WriteFile(path+".new", []byte(change(readFile(f.T, path))), 0o600))
		f.must(os.Rename(path+".new", path))
	}
	for _, r := range f.replicas {
		if r.server != nil {
			await(f.T, r.name+" says "+saying, func() bool { return said(r) > before[r] })
		}
	}
}

// refused asks for a tenant that nobody can answer for: each replica says so, and that nothing was done.
func (f *fleet) refused(t *fleetTenant, by ...*process) {
	f.Helper()
	for _, r := range by {
		var told string
		await(f.T, r.name+" says that nobody has "+t.Name, func() bool {
			request, err := http.NewRequest("PATCH", r.url+"/api/v1/tenants/"+t.Name+"/secrets/db", strings.NewReader(`{"sync":[]}`))
			f.must(err)
			request.Header.Set("Authorization", "Bearer "+t.Secret)
			request.Header.Set("Content-Type", "application/json")
			response, err := patient.Do(request)
			if err != nil {
				return false
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			told = string(text)
			if response.StatusCode == http.StatusOK {
				f.Fatalf("%s made a change of what lies elsewhere", r.name)
			}
			return response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("X-Secretsync-Undone") == "true" &&
				response.Header.Get("Retry-After") != "" && strings.Contains(told, "no replica holds the tenant at the moment")
		})
	}
}

// A tenant with onReplica is where its volume is, and nowhere else: any replica answers for it by way of that one; while that one
// is away, in order or not, nobody answers, nobody takes over and nothing of its copies is touched. Named with a replica that
// has not got the volume, or with none that exists, it loses nothing either. It moves when its folder does.
func TestATenantWithAVolumeStaysWithItsReplica(t *testing.T) {
	f := newFleet(t, 3, 3, 4*time.Second)
	a, b, c := f.replicas[0], f.replicas[1], f.replicas[2]
	pinned := f.pin("pinned", a.name)
	f.answers(a, b, c)
	folder := func(r *process) string { return filepath.Join(r.dir, "data", "repositories", "pinned.git") }
	lies := func(r *process) bool { _, err := os.Stat(folder(r)); return err == nil }
	ask := func(r *process, method, path, body string) (status int, answer string) {
		t.Helper()
		status, answer, err := f.call(r, pinned, method, path, body, "look")
		f.must(err)
		return status, answer
	}
	synced := func(edition int) (version string) {
		t.Helper()
		f.must(c.awaitSecret("production", f.namespace, "db", func(s *core.Secret) bool {
			version = s.ResourceVersion
			return string(s.Data["edition"]) == fmt.Sprint(edition)
		}))
		return version
	}

	// deletionPolicy: what could be taken for a definition that is gone would delete the copy.
	definition := fmt.Sprintf(`{"name":"db","secretPath":"value","deletionPolicy":"Delete","sync":[{"cluster":"production","namespace":%q}]}`, f.namespace)
	if status, answer := ask(c, "POST", "/secrets", definition); status != http.StatusCreated {
		t.Fatal(status, answer)
	}
	synced(1)
	if !lies(a) || lies(b) || lies(c) {
		t.Errorf("its repository lies with %s: %v, %s: %v, %s: %v", a.name, lies(a), b.name, lies(b), c.name, lies(c))
	}
	revision := func(r *process) string {
		t.Helper()
		status, answer := ask(r, "GET", "/secrets/db", "")
		var of struct{ ResourceVersion string }
		if err := json.Unmarshal([]byte(answer), &of); err != nil || status != http.StatusOK {
			t.Fatal(status, answer, err)
		}
		return of.ResourceVersion
	}
	stood := revision(b)

	edition := 1
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		before := synced(edition)
		f.must(a.stop(end))
		f.refused(pinned, b, c)
		for i := range f.tenants[:3] { // the others are taken over
			f.await("the others are served", func() bool { return f.served(b, &f.tenants[i]) && f.served(c, &f.tenants[i]) })
		}
		f.refused(pinned, b, c)
		edition++
		f.must(f.putValue("pinned", edition))
		if now := synced(edition - 1); now != before || lies(b) || lies(c) {
			t.Errorf("after %v somebody else works for it", end)
		}
		f.must(a.serve())
		f.answers(a, b, c)
		synced(edition)
		if now := revision(c); now != stood {
			t.Errorf("after %v its revision is %s, and was %s", end, now, stood)
		}
	}

	before := synced(edition)
	f.repin("pinned", a.name, "r9") // there is none
	f.refused(pinned, a, b, c)
	f.repin("pinned", "r9", b.name) // whose folder is empty
	f.answers(a, b, c)
	if status, answer := ask(c, "GET", "/secrets/db", ""); status != http.StatusNotFound {
		t.Errorf("who has not got the volume says %d %s", status, answer)
	}
	if now := synced(edition); now != before {
		t.Error("the copy was touched")
	}
	f.repin("pinned", b.name, a.name)
	await(t, "all is there again", func() bool { status, _ := ask(c, "GET", "/secrets/db", ""); return status == http.StatusOK })

	// As it is moved: nobody has it while its folder is on the way.
	f.repin("pinned", a.name, "nobody")
	f.refused(pinned, a, b, c)
	f.must(os.RemoveAll(folder(b)))
	f.must(os.Rename(folder(a), folder(b)))
	f.repin("pinned", "nobody", b.name)
	await(t, "it is with the other", func() bool { status, _ := ask(c, "GET", "/secrets/db", ""); return status == http.StatusOK })
	if now := revision(a); now != stood {
		t.Errorf("where it moved to its revision is %s, and was %s", now, stood)
	}
	if now := synced(edition); now != before {
		t.Error("the copy was touched")
	}
	f.must(f.putValue("pinned", edition+1))
	synced(edition + 1)
	for _, r := range f.replicas {
		f.must(r.stop(syscall.SIGTERM))
	}
}
