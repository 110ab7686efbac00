package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	core "k8s.io/api/core/v1"
)

var replicasLine = regexp.MustCompile(`(?m)^(# )?replicas: `)

// share puts the replicas into a server's configuration, or takes them out. One that runs learns of it, as a pod whose ConfigMap
// changes, and goes on as it began.
func (f *fleet) share(r *process, yes bool) {
	f.Helper()
	path := filepath.Join(r.dir, "secretsync.yaml")
	line := map[bool]string{true: "replicas: ", false: "# replicas: "}[yes]
	f.must(os.WriteFile(path+".new", []byte(replicasLine.ReplaceAllString(readFile(f.T, path), line)), 0o600))
	f.must(os.Rename(path+".new", path))
	if r.server != nil {
		await(f.T, r.name+" says when that counts", func() bool {
			return strings.Contains(readFile(f.T, filepath.Join(r.dir, "server.log")), `msg="these settings take effect at the next start" fields=[replicas]`)
		})
	}
}

// versions are the resource versions of all copies.
func (f *fleet) versions() map[string]string {
	f.Helper()
	versions := make(map[string]string)
	for _, cluster := range f.stack.Clusters() {
		f.eachCopy(cluster, func(s *core.Secret) { versions[cluster.Name+"/"+s.Name] = s.ResourceVersion })
	}
	return versions
}

// One server without replicas becomes three that share its work, and one again: on the same keys, repositories and clusters, as
// the chart does it. The three are there before the one goes; of the three all go before the one comes. Nothing that was answered
// is lost, and no copy is written for it.
func TestOneServerBecomesThreeAndOneAgain(t *testing.T) {
	f := makeFleet(t, 4, 6, calm)
	endWatch := f.watchCopies()
	one, three := f.replicas[0], f.replicas[1:]
	f.share(one, false)
	made := make(map[string]*fleetTenant) // definitions
	post := func(r *process, name string) {
		t.Helper()
		tenant := &f.tenants[len(made)%len(f.tenants)]
		if status, answer, err := f.post(r, tenant, name); err != nil || status != http.StatusCreated {
			t.Fatalf("%s at %s: %d %s %v", name, r.name, status, answer, err)
		}
		f.ledger.answer(name, tenant.Name)
		made[name] = tenant
	}
	keys := make(map[string]*fleetTenant) // of the first tenant, by who has them
	ids := make(map[string]string)
	makeKey := func(r *process, holder string) {
		t.Helper()
		status, answer, err := f.call(r, &f.tenants[0], "POST", "/apikeys", `{"displayName":"`+holder+`","role":"readonly"}`, "key-"+holder)
		var key struct{ ID, Key string }
		if err != nil || status != http.StatusCreated || json.Unmarshal([]byte(answer), &key) != nil {
			t.Fatalf("a key for %s at %s: %d %s %v", holder, r.name, status, answer, err)
		}
		keys[holder], ids[holder] = &fleetTenant{Name: f.tenants[0].Name, Secret: key.Key}, key.ID
	}
	// stands is that all is there through these servers, and right in the clusters.
	stands := func(when string, through ...*process) {
		t.Helper()
		f.answers(through...)
		for _, r := range through {
			for name, tenant := range made {
				if status, answer, err := f.call(r, tenant, "GET", "/secrets/"+name+"?wait=Active&timeout=4s", "", "look"); err != nil || status != http.StatusOK {
					t.Errorf("%s: %s at %s: %d %s %v", when, name, r.name, status, answer, err)
				}
			}
			for i := range f.tenants {
				tenant := &f.tenants[i]
				for n := range seeds {
					if status, answer, err := f.call(r, tenant, "GET", fmt.Sprintf("/secrets/%s-seed-%d?wait=Active&timeout=4s", tenant.Name, n), "", "look"); err != nil || status != http.StatusOK {
						t.Errorf("%s: seed %d of %s at %s: %d %s %v", when, n, tenant.Name, r.name, status, answer, err)
					}
				}
			}
			for holder, key := range keys {
				want := http.StatusOK
				if ids[holder] == "" {
					want = http.StatusUnauthorized
				}
				if status, answer, err := f.call(r, key, "GET", "", "", "look"); err != nil || status != want {
					t.Errorf("%s: the key of %s at %s: %d %s %v; want %d", when, holder, r.name, status, answer, err, want)
				}
			}
		}
	}
	unwritten := func(when string, before map[string]string) {
		t.Helper()
		if after := f.versions(); !maps.Equal(before, after) {
			t.Errorf("%s: copies were written:\n%v\n%v", when, before, after)
		}
	}

	f.must(one.serve())
	f.answers(one)
	post(one, "alone")
	makeKey(one, "Ada")
	stands("alone", one)
	f.await("each definition has its copies", func() bool { return len(f.versions()) == 2*(seeds*len(f.tenants)+len(made)) })
	before := f.versions()

	f.must(os.Remove(filepath.Join(one.dir, "tls.crt"))) // the one has no certificate for that
	f.share(one, true)
	for _, r := range three {
		f.must(r.serve())
	}
	f.await("the shards are shared", func() bool { return f.settled(three...) })
	stands("all four at once", three...)
	stands("all four at once", one)
	unwritten("the three came", before)
	makeKey(three[1], "Bob")
	await(t, "the one knows that key", func() bool {
		status, _, err := f.call(one, keys["Bob"], "GET", "", "", "look")
		return err == nil && status == http.StatusOK
	})
	f.must(one.stop(syscall.SIGTERM))
	post(three[0], "shared")
	if status, answer, err := f.call(three[2], &f.tenants[0], "DELETE", "/apikeys/"+ids["Ada"], "", "revoke"); err != nil || status != http.StatusNoContent {
		t.Fatalf("a key is revoked: %d %s %v", status, answer, err)
	}
	ids["Ada"] = ""
	stands("three", three...)
	f.await("each definition has its copies", func() bool { return len(f.versions()) == 2*(seeds*len(f.tenants)+len(made)) })
	before = f.versions()

	for _, r := range three {
		f.share(r, false)
	}
	stands("three that are to be one", three...)
	for _, r := range three {
		f.must(r.stop(syscall.SIGTERM))
	}
	f.share(one, false)
	f.must(os.RemoveAll(filepath.Join(one.dir, "data"))) // a pod without a volume has a new one
	f.must(one.serve())
	stands("one again", one)
	unwritten("it is one again", before)
	post(one, "alone-again")
	stands("one again", one)
	f.must(one.stop(syscall.SIGTERM))
	f.check()
	endWatch()

	// What can't be shared is refused before anything is done, and named.
	for name, c := range map[string]struct{ old, new, says string }{
		"a repository in the volume": {fmt.Sprintf("    repository: {url: %s}\n", regexp.MustCompile(`url: (\S+/t0000\.git)`).FindStringSubmatch(readFile(t, filepath.Join(three[0].dir, "secretsync.yaml")))[1]), "",
			"tenants.t0000: has its repository in dataDir, which the other replicas don't have: give it repository.url, or name the replica that has the volume"},
		"keys in the volume": {"keys: {store: kubernetes}\n", "", "replicas: needs keys: {store: kubernetes}"},
	} {
		path := filepath.Join(three[0].dir, "secretsync.yaml")
		right := replicasLine.ReplaceAllString(readFile(t, path), "replicas: ")
		spoilt := filepath.Join(three[0].dir, "spoilt.yaml")
		f.must(os.WriteFile(spoilt, []byte(strings.Replace(right, c.old, c.new, 1)), 0o600))
		out, err := exec.Command("secretsync", "serve", "--config", spoilt).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: %v\n%s\nwant %s", name, err, out, c.says)
		}
	}
}
