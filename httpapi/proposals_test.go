package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/forge"
	"secretsync/gitstore/operation"
	"secretsync/reconcile/proposal"
)

// desk proposes what a repository would take as a write; the pull requests are made
// up. It stands in for a [proposal.Keeper].
type desk struct {
	list    []proposal.Proposal
	written []operation.Written
	fails   error
	same    bool // nothing has to be changed
	asked   int
	how     operation.Handling
}

func (d *desk) Propose(_ context.Context, by gitstore.Attribution, how operation.Handling, operations ...operation.Operation) (*proposal.Proposal, []operation.Written, error) {
	d.asked, d.how = len(operations), how
	if d.fails != nil || d.same {
		return nil, d.written, d.fails
	}
	p := proposal.Proposal{
		Number: len(d.list) + 1, Title: "Add db", URL: "https://forge.example.org/acme/secrets/pulls/1", State: forge.Open,
		Branch: "secretsync/add-db-0123456789ab", Commit: strings.Repeat("1", 40), Author: by.Author, At: time.Unix(1e9, 0).UTC(),
	}
	d.list = append(d.list, p)
	return &p, d.written, nil
}

func (d *desk) List(context.Context) ([]proposal.Proposal, error, error) {
	return d.list, d.fails, nil
}

// proposing has acme's changes be proposed at a desk.
func (w *world) proposing(only bool) *desk {
	w.Helper()
	d := &desk{}
	settings := w.settings
	settings.Tenants = slices.Clone(w.settings.Tenants)
	settings.Tenants[0].Proposals, settings.Tenants[0].ProposeOnly = d, only
	w.reconfigure(settings)
	return d
}

const (
	acme    = "/api/v1/tenants/acme"
	creates = `{"name":"proposed","secretPath":"a"}`
)

// exerciseProposals proposes each kind of write.
func exerciseProposals(w *world) {
	w.do("POST", acme+"/secrets?propose=true", w.admin, creates)
	w.do("DELETE", acme+"/secrets/kept?propose=true", w.admin, "") // there is no forge
	d := w.proposing(false)
	w.do("POST", acme+"/secrets?propose=true", w.admin, creates, "Prefer: handling=strict")
	d.written = []operation.Written{{Name: mustName(w, "proposed"), Held: []operation.Claim{{Holder: mustName(w, "kept")}}}}
	w.do("POST", acme+"/secrets?propose=true", w.admin, creates)
	w.do("PATCH", acme+"/secrets/kept?propose=true", w.admin, `{"sync":[]}`)
	w.do("DELETE", acme+"/secrets/kept?propose=true", w.admin, "")
	w.do("POST", acme+"/secrets:batch?propose=true", w.admin, `{"operations":[{"op":"delete","name":"kept"}]}`)
	w.do("POST", acme+"/secrets/kept/revert?propose=true", w.admin, "")
	w.do("POST", acme+"/commits/"+w.repository.Snapshot().Head().String()+":revert?propose=true", w.admin, "")
	d.list[0].State, d.list[0].Merged = forge.Merged, strings.Repeat("2", 40)
	d.list[1].Author, d.list[1].At = gitstore.Author{}, time.Time{}
	w.do("GET", acme+"/proposals", w.reader, "")
	d.fails = forge.ErrUnavailable
	w.do("GET", acme+"/proposals", w.reader, "")
	w.reconfigure(w.settings)
}

// exerciseMirror asks for a tenant whose repository is a mirror that can't be fetched.
func exerciseMirror(w *world) {
	settings := w.settings
	settings.Tenants = slices.Clone(w.settings.Tenants)
	settings.Tenants[0].Repository = mirrored{w.repository, gitstore.Freshness{Remote: "https://forge.example.org/acme.git", Fetched: someTime, Failing: gitstore.ErrOpening}}
	w.reconfigure(settings)
	w.do("GET", acme, w.reader, "")
	w.reconfigure(w.settings)
}

func mustName(t testing.TB, s string) definition.Name {
	t.Helper()
	n, err := definition.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAWriteIsProposedIfItIsAskedFor(t *testing.T) {
	w := newWorld(t)
	d := w.proposing(false)
	w.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a"}`)
	head := w.repository.Snapshot().Head()
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/secrets", creates},
		{"PATCH", "/secrets/db", `{"sync":[{"cluster":"production","namespace":"x"}]}`},
		{"DELETE", "/secrets/db", ""},
		{"POST", "/secrets:batch", `{"operations":[{"op":"delete","name":"db"}]}`},
		{"POST", "/secrets/db/revert", "{}"},
		{"POST", "/commits/" + head.String() + ":revert", ""},
	} {
		d.asked = 0
		r := w.do(c.method, acme+c.path+"?propose=true", w.admin, c.body)
		var body struct {
			Proposal struct{ URL, Branch, Commit, State string }
		}
		decodeJSON(t, r.body, &body)
		if p := body.Proposal; r.status != http.StatusAccepted || d.asked != 1 || p.Branch != "secretsync/add-db-0123456789ab" || p.State != "open" || p.URL == "" || len(p.Commit) != 40 || r.header.Get("Etag") != "" {
			t.Errorf("%s: %d %s", r.call, r.status, r.body)
		}
		if r := w.do(c.method, acme+c.path+"?propose=true", w.reader, c.body); r.status != http.StatusForbidden {
			t.Errorf("%s by a reader: %d", r.call, r.status)
		}
	}
	if now := w.repository.Snapshot().Head(); now != head {
		t.Errorf("something was written: %s", now)
	}
	if !strings.Contains(w.logs.String(), "branch=secretsync/add-db-0123456789ab") {
		t.Error("the log does not name the branch")
	}
	if r := w.do("GET", acme+"/proposals", w.reader, ""); r.status != 200 || strings.Count(string(r.body), `"number":`) != 6 {
		t.Errorf("%d %s", r.status, r.body)
	}
	w.must(200, "PATCH", "/secrets/db", `{"sync":[{"cluster":"production","namespace":"x"}]}`)
	w.must(204, "DELETE", "/secrets/db?propose=false", "")
	for _, query := range []string{"propose=yes", "propose=", "propose=true&propose=true"} {
		w.must(400, "POST", "/secrets?"+query, creates)
	}
}

func TestAWriteThatChangesNothingIsAnsweredAsEver(t *testing.T) {
	w := newWorld(t)
	d := w.proposing(false)
	was := w.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a"}`)
	e, _ := w.repository.Snapshot().Get(mustName(t, "db"))
	d.same, d.written = true, []operation.Written{{Name: e.Name, Entry: e}}
	r := w.do("PATCH", acme+"/secrets/db?propose=true", w.admin, `{"sync":[]}`)
	if r.status != 200 || r.header.Get("Etag") != `"`+was.ResourceVersion+`"` {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestATenantsWritesCanBeProposalsAlways(t *testing.T) {
	w := newWorld(t)
	w.proposing(true)
	w.must(202, "POST", "/secrets", creates)
	w.must(202, "POST", "/secrets?propose=true", creates)
	w.must(409, "POST", "/secrets?propose=false", creates)
	settings := w.settings
	settings.Tenants = slices.Clone(w.settings.Tenants)
	settings.Tenants[0].ProposeOnly = true
	w.reconfigure(settings)
	if r := w.do("POST", acme+"/secrets", w.admin, creates); r.status != 409 || !strings.Contains(w.errorOf(r), "repository.forge") {
		t.Errorf("without a forge: %d %s", r.status, r.body)
	}
	if r := w.do("GET", acme+"/proposals", w.reader, ""); r.status != 200 || string(r.body) != "{\"items\":[]}\n" {
		t.Errorf("without a forge: %d %s", r.status, r.body)
	}
}

func TestWhatHindersAProposalIsTold(t *testing.T) {
	w := newWorld(t)
	d := w.proposing(false)
	for _, c := range []struct {
		fails  error
		status int
		words  string
	}{
		{fmt.Errorf("%w; branch x is pushed", proposal.ErrForge), 503, "is pushed"},
		{fmt.Errorf("%w: no commits between", proposal.ErrRefused), 409, "no commits between"},
		{fmt.Errorf("the remote refuses: %w", gitstore.ErrConflict), 409, "the remote refuses"},
		{fmt.Errorf("dial tcp 10.0.0.1: %w", gitstore.ErrUnavailable), 503, "can't take a write now"},
	} {
		d.fails = c.fails
		r := w.do("POST", acme+"/secrets?propose=true", w.admin, creates)
		if r.status != c.status || !strings.Contains(w.errorOf(r), c.words) || strings.Contains(string(r.body), "10.0.0.1") {
			t.Errorf("%v: %d %s", c.fails, r.status, r.body)
		}
		if again := r.header.Get("Retry-After"); (again != "") != (c.status == 503) {
			t.Errorf("%v: Retry-After %q", c.fails, again)
		}
	}
	d.fails = errors.Join(fmt.Errorf("dial tcp 10.0.0.1: %w", forge.ErrUnavailable))
	if r := w.do("GET", acme+"/proposals", w.reader, ""); r.status != 200 || !strings.Contains(string(r.body), `"problem":"the forge can't be reached`) || strings.Contains(string(r.body), "10.0.0.1") {
		t.Errorf("%d %s", r.status, r.body)
	}
}
