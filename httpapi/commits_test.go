package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// commitBody is what a client reads of a commit.
type commitBody struct {
	SHA, Landed, Author, Message, Via string
	Live                              bool
	Definitions                       []struct {
		Path, Name, Change, ResourceVersion string
		Superseded                          bool
		Targets                             []struct{ Cluster, State, ObservedRevision string }
	}
	Missing []struct{ Path, Name, Cluster, Namespace, SecretName, State, Reason, Message string }
}

func (w *world) commitOf(sha, query string) (c commitBody, r reply) {
	w.Helper()
	r = w.do("GET", "/api/v1/tenants/acme/commits/"+sha+query, w.reader, "")
	if r.status == http.StatusOK {
		decodeJSON(w, r.body, &c)
	}
	return c, r
}

func exerciseCommits(w *world) {
	w.must(201, "POST", "/secrets", `{"name":"told","secretPath":"a","sync":[{"cluster":"nowhere","namespace":"x"}]}`)
	w.commitOf(w.repository.Snapshot().Head().String(), "")
	w.must(204, "DELETE", "/secrets/told", "")
	w.commitOf(w.repository.Snapshot().Head().String(), "")
	w.commitOf(strings.Repeat("1", 40), "")
	w.push("secrets/Misnamed_too.yaml", "name: misnamed\n")
	w.commitOf(w.repository.Snapshot().Head().String(), "")
	w.commitOf("main", "")
}

func TestACommitTellsWhetherItIsLive(t *testing.T) {
	w := newWorld(t)
	created := w.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a","sync":[{"cluster":"production","namespace":"x"},{"cluster":"nowhere","namespace":"y","secretName":"z"}]}`)
	sha := created.ResourceVersion
	c, r := w.commitOf(sha, "")
	if c.SHA != sha || c.Landed != sha || c.Live || c.Via != "api" || c.Message == "" || len(c.Definitions) != 1 || len(c.Missing) != 1 {
		t.Fatalf("%s", r.body)
	}
	if d := c.Definitions[0]; d.Name != "db" || d.Change != "Added" || d.Superseded || d.ResourceVersion != sha || len(d.Targets) != 2 || d.Targets[0].State != "Synced" {
		t.Errorf("%s", r.body)
	}
	if m := c.Missing[0]; m.Name != "db" || m.Cluster != "nowhere" || m.Namespace != "y" || m.SecretName != "z" || m.State != "Error" || m.Reason != "ClusterNotFound" || m.Message == "" {
		t.Errorf("%s", r.body)
	}
	tag := r.header.Get("Etag")
	later := w.must(200, "PATCH", "/secrets/db", `{"sync":[{"cluster":"production","namespace":"x"}]}`).ResourceVersion
	c, r = w.commitOf(sha[:7], "")
	if c.SHA != sha || !c.Live || len(c.Missing) != 0 || !c.Definitions[0].Superseded || c.Definitions[0].ResourceVersion != later {
		t.Errorf("%s", r.body)
	}
	if tag == "" || tag == r.header.Get("Etag") {
		t.Errorf("the answer is another, its tag is still %s", tag)
	}
}

func TestWhatIsNoCommitOfTheBranchIsNotFound(t *testing.T) {
	w := newWorld(t)
	head := w.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a","sync":[]}`).ResourceVersion
	w.repository.MustGit("update-ref", "refs/heads/aside", head)
	aside := w.repository.MustGit("-c", "user.name=P", "-c", "user.email=p@example.org", "commit-tree", "-p", head, "-m", "x", head+"^{tree}")
	for path, want := range map[string]int{
		aside:                   404, // it is there, but not merged
		aside[:7]:               404,
		strings.Repeat("1", 40): 404,
		"abcdef":                400,
		"main":                  400,
		head + "?wait=Active":   400,
		head + "?timeout=1h":    400,
		strings.ToUpper(head):   400,
	} {
		sha, query, _ := strings.Cut(path, "?")
		if _, r := w.commitOf(sha, "?"+query); r.status != want {
			t.Errorf("%s: %d %s; want %d", path, r.status, r.body, want)
		}
	}
}

func TestAPipelineThatPushedWaitsForItsCommit(t *testing.T) {
	w := newWorld(t)
	base := w.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a","sync":[]}`).ResourceVersion
	sha := w.repository.MustGit("-c", "user.name=P", "-c", "user.email=p@example.org", "commit-tree", "-p", base, "-m", "x", base+"^{tree}")

	// Not pushed yet: in time it does not come.
	if _, r := w.commitOf(sha, "?wait=Live&timeout=1ms"); r.status != 404 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	answered := make(chan reply)
	go func() {
		_, r := w.commitOf(sha, "?wait=Live&timeout=1m")
		answered <- r
	}()
	w.repository.MustGit("update-ref", "refs/heads/main", sha)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for s := w.repository.Snapshot(); s.Head().String() != sha; {
		var err error
		if s, err = w.repository.Wait(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	w.reconciler.announce()
	r := <-answered
	var c commitBody
	if decodeJSON(t, r.body, &c); r.status != 200 || !c.Live || c.SHA != sha || c.Via != "git" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestWhoWaitsIsAnsweredWhenTheLastTargetIsSynced(t *testing.T) {
	w := newWorld(t)
	sha := w.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a","sync":[{"cluster":"production","namespace":"x"}]}`).ResourceVersion
	state := func(state fault.State, reason fault.Reason) {
		w.reconciler.set(func(e *catalog.Entry) (s status.Status) {
			for _, target := range e.Definition.Sync {
				s.Targets = append(s.Targets, status.Target{Target: target, Secret: target.Secret(e.Name), State: state, Reason: reason, Observed: e.Source})
			}
			return s
		})
		w.reconciler.announce()
	}
	state(fault.Pending, fault.ReasonValueNotFound)
	c, r := w.commitOf(sha, "?wait=Live&timeout=1ms")
	if r.status != 200 || c.Live || len(c.Missing) != 1 || c.Missing[0].State != "Pending" || c.Missing[0].Reason != "ValueNotFound" {
		t.Fatalf("at the timeout: %d %s", r.status, r.body)
	}
	answered := make(chan reply)
	for n := range 3 {
		go func() {
			_, r := w.commitOf(sha, fmt.Sprintf("?wait=Live&timeout=%dm", n+1))
			answered <- r
		}()
	}
	state(fault.Synced, fault.ReasonSynced)
	for range 3 {
		var c commitBody
		if r := <-answered; r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		} else if decodeJSON(t, r.body, &c); !c.Live {
			t.Errorf("%s", r.body)
		}
	}
}
