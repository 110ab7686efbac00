package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	clocktest "k8s.io/utils/clock/testing"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/gitstore/forge"
	"secretsync/gitstore/gitstoretest"
	"secretsync/gitstore/operation"
	"secretsync/reconcile/proposal"
)

// farWorld is a world whose tenant's repository is at a real forge, with a protected
// branch.
type farWorld struct {
	*world
	dana  *devstack.Person
	other *proposal.Keeper // of another server
	store *gitstoretest.Store
	clock *clocktest.FakeClock // of the proposals
}

func newFarWorld(t *testing.T, user string) *farWorld {
	t.Helper()
	g := devstack.SharedGitea(t)
	dana, err := g.NewPerson(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	w := &farWorld{world: newWorld(t), dana: dana, store: gitstoretest.MustOpen(t, gitstore.Config{}), clock: clocktest.NewFakeClock(time.Now())}
	desk := &proposal.Desk{Clock: w.clock}
	w.forge("POST", "/user/repos", map[string]any{"name": "secrets", "private": true, "auto_init": true, "default_branch": "main"}, nil)
	w.forge("POST", "/repos/"+user+"/secrets/contents/secrets/db.yaml", map[string]any{
		"content": base64.StdEncoding.EncodeToString([]byte("name: db\nsecretPath: a # of payments\nsync: []\n")), "message": "Add db",
	}, nil)
	w.forge("POST", "/repos/"+user+"/secrets/branch_protections", map[string]any{"rule_name": "main", "enable_push": false}, nil)

	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(dana.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := g.URL + "/" + user + "/secrets.git"
	remote, err := gitstore.ParseRemote(gitstore.RemoteSettings{URL: url, Username: user, PasswordFile: token}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	tenant := mustTenant(t, "acme")
	w.store.Configure(tenant, gitstore.Settings{Remote: remote})
	repository := w.store.MustRepository("acme")
	client, err := forge.New(forge.Config{Kind: forge.Gitea, Repository: url, Credentials: forge.TokenFile(token)})
	if err != nil {
		t.Fatal(err)
	}
	desk.Assign([]proposal.Config{{Tenant: tenant, Base: "main", Pulls: client, Repository: repository, File: filepath.Join(t.TempDir(), "proposals.json")}})
	elsewhere := gitstoretest.MustOpen(t, gitstore.Config{})
	elsewhere.Configure(tenant, gitstore.Settings{Remote: remote})
	second := &proposal.Desk{}
	second.Assign([]proposal.Config{{Tenant: tenant, Base: "main", Pulls: client, Repository: elsewhere.MustRepository("acme"), File: filepath.Join(t.TempDir(), "proposals.json")}})
	w.other = second.Keeper(tenant)
	w.settings.Tenants[0].Repository = repository.Repository
	w.settings.Tenants[0].Proposals = desk.Keeper(tenant)
	w.reconfigure(w.settings)
	w.repository = repository
	return w
}

func (w *farWorld) forge(method, path string, in, out any) {
	w.Helper()
	if err := w.dana.Call(w.Context(), method, path, in, out); err != nil {
		w.Fatal(err)
	}
}

// merge presses the button, as soon as the forge has found out whether it can merge.
func (w *farWorld) merge(number int) {
	w.Helper()
	path := "/repos/" + w.dana.Name + "/secrets/pulls/" + strconv.Itoa(number) + "/merge"
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := w.dana.Call(w.Context(), "POST", path, map[string]any{"Do": "merge"}, nil)
		if err == nil {
			return
		}
		if refused, ok := errors.AsType[*devstack.APIError](err); !ok || refused.Status != http.StatusMethodNotAllowed || time.Now().After(deadline) {
			w.Fatal(err)
		}
	}
}

// proposed makes a request and returns the proposal that it was answered with. Where the forge
// takes too long, as on a busy machine, the request is repeated, as its answer says.
func (w *farWorld) proposed(method, path, body string) (p proposedBody) {
	w.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		r := w.do(method, acme+path+"?propose=true", w.admin, body)
		if r.status == http.StatusServiceUnavailable && time.Now().Before(deadline) {
			w.Logf("it is repeated: %s", r.body)
			continue
		}
		var answer struct{ Proposal proposedBody }
		if err := json.Unmarshal(r.body, &answer); err != nil || r.status != http.StatusAccepted {
			w.Fatalf("%s: %d %s", r.call, r.status, r.body)
		}
		return answer.Proposal
	}
}

type proposedBody struct {
	Number                            int
	URL, Title, State, Branch, Commit string
}

func (w *farWorld) branches() (names []string) {
	w.Helper()
	var branches []struct{ Name string }
	w.forge("GET", "/repos/"+w.dana.Name+"/secrets/branches", nil, &branches)
	for _, b := range branches {
		names = append(names, b.Name)
	}
	return names
}

func (w *farWorld) list() (list []proposedBody) {
	w.Helper()
	var answer struct{ Items []proposedBody }
	decodeJSON(w, w.do("GET", acme+"/proposals", w.reader, "").body, &answer)
	return answer.Items
}

func TestAtARealForgeAProposalIsMergedAndTidiedAway(t *testing.T) {
	w := newFarWorld(t, "proposer")
	const patch = `{"sync":[{"cluster":"production","namespace":"x"}]}`
	w.must(409, "PATCH", "/secrets/db", patch) // the branch is protected
	before := w.repository.Snapshot()

	p := w.proposed("PATCH", "/secrets/db", patch)
	if again := w.proposed("PATCH", "/secrets/db", patch); again != p {
		t.Errorf("proposed twice: %+v and %+v", p, again)
	}
	var pull struct {
		Title, Body, State string
		Head               struct{ Ref, SHA string }
		Base               struct{ Ref string }
	}
	w.forge("GET", "/repos/proposer/secrets/pulls/"+strconv.Itoa(p.Number), nil, &pull)
	if pull.State != "open" || pull.Title != "Sync db to 1 target" || pull.Head.Ref != p.Branch || pull.Head.SHA != p.Commit || pull.Base.Ref != "main" || !strings.Contains(pull.Body, "`admin of acme`") {
		t.Errorf("the pull request is %+v, the proposal %+v", pull, p)
	}
	other := w.proposed("DELETE", "/secrets/db", "")
	if list := w.list(); len(list) != 2 || list[0] != other || list[1] != p {
		t.Errorf("listed are %+v", list)
	}
	if now := w.repository.Snapshot().Head(); now != before.Head() {
		t.Errorf("HEAD has moved to %s", now)
	}

	// Somebody merges the one and closes the other.
	w.merge(p.Number)
	w.forge("PATCH", "/repos/proposer/secrets/pulls/"+strconv.Itoa(other.Number), map[string]any{"state": "closed"}, nil)
	w.repository.Hint()
	if _, err := w.repository.Wait(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	e, _ := w.repository.Snapshot().Get(mustName(t, "db"))
	if len(e.Definition.Sync) != 1 {
		t.Errorf("after the merge it is %+v", e.Definition)
	}
	w.forge("GET", "/repos/proposer/secrets/pulls/"+strconv.Itoa(p.Number), nil, &pull)
	w.clock.Step(time.Minute) // what the forge said is old
	list := w.list()
	if len(list) != 2 || list[0].State != "closed" || list[1].State != "merged" {
		t.Errorf("listed are %+v", list)
	}
	if names := w.branches(); len(names) != 1 || names[0] != "main" {
		t.Errorf("the branches are %q", names)
	}

	// What was closed can be proposed once more, on top of the merge.
	if once := w.proposed("DELETE", "/secrets/db", ""); once.Number == other.Number || once.Commit == other.Commit {
		t.Errorf("after it was closed: %+v", once)
	}
}

func TestAtARealForgeTheSameChangeAtTwoServersIsOneProposal(t *testing.T) {
	w := newFarWorld(t, "twofold")
	var mu sync.Mutex
	numbers := map[int]bool{}
	remove := operation.Deletion(mustName(t, "db"), operation.Exists())
	var wg sync.WaitGroup
	for i := range 6 {
		keeper := w.settings.Tenants[0].Proposals
		if i%2 == 1 {
			keeper = w.other
		}
		wg.Go(func() {
			// Gitea answers some of many at once with 500. Such a request is repeated, as
			// its answer says.
			for range 5 {
				p, _, err := keeper.Propose(t.Context(), gitstoretest.By, operation.Lenient, remove)
				if errors.Is(err, proposal.ErrForge) {
					t.Logf("one is repeated: %v", err)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				numbers[p.Number] = true
				return
			}
			t.Error("five times the forge did not take it")
		})
	}
	wg.Wait()
	var pulls []struct{ Number int }
	w.forge("GET", "/repos/twofold/secrets/pulls?state=open", nil, &pulls)
	if len(numbers) != 1 || len(pulls) != 1 {
		t.Errorf("%d pull requests, answered were %v", len(pulls), numbers)
	}
	w.clock.Step(time.Minute)
	if list := w.list(); len(list) == 0 || len(w.branches()) != 2 {
		t.Errorf("listed are %+v, the branches are %q", list, w.branches())
	}
}
