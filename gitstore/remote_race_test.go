package gitstore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"secretsync/gitstore/catalog"
)

// Three servers, each with a folder of its own, and somebody with stock Git write
// to one remote repository.
func TestServersAndAPusherOnOneRemoteAreExplainedByOneOrder(t *testing.T) {
	served := newServer(t)
	patient, err := ParseRemote(RemoteSettings{URL: served.url, Timeout: 2 * time.Minute}, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	var stores []*farStory
	for range 3 {
		s := &farStory{story: &story{TB: t, dir: t.TempDir()}, served: served}
		store, err := Open(Config{Dir: s.dir, roundAfter: 8})
		s.must(err)
		s.store = store
		s.store.Configure(mustParse(ParseTenantName("acme")), Settings{Remote: patient})
		s.repo = s.opened("acme")
		t.Cleanup(s.close)
		stores = append(stores, s)
	}
	c := stores[0].begin("definition-00")
	const writers, rounds, definitions = 18, 5, 6
	var mu sync.Mutex
	var history []porcupine.Operation
	made := make(map[string]bool) // the commits that were answered
	commits := 0
	begun := time.Now()
	record := func(client int, in linearInput, call time.Duration, out linearOutput) {
		mu.Lock()
		defer mu.Unlock()
		history = append(history, porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(time.Since(begun))})
		if out.result == "done" && in.op != "push" {
			commits++
		}
		if out.result == "done" && out.revision != "" {
			made[out.revision] = true
		}
	}
	first := served.git("rev-parse", "main")
	record(0, linearInput{name: "definition-00", op: "push"}, 0, linearOutput{result: "done", revision: first})
	for round := range rounds {
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), uint64(round)))
				<-time.After(time.Duration(r.Int64N(int64(200 * time.Millisecond))))
				in := linearInput{name: fmt.Sprintf("definition-%02d", r.IntN(definitions)), op: []string{"create", "patch", "patch", "patch", "delete"}[r.IntN(5)]}
				call := time.Since(begun)
				out, err := linearWrite(stores[w%len(stores)].story, r, &in, fmt.Sprintf("production/w%d-%d", w, round))
				if err != nil {
					t.Errorf("%+v: %v", in, err)
					return
				}
				record(w, in, call, out)
			})
		}
		group.Go(func() {
			in := linearInput{name: fmt.Sprintf("definition-%02d", round%definitions), op: "push"}
			call := time.Since(begun)
			out, err := c.pushOne(in.name, fmt.Sprintf("pushed-%d", round))
			if err != nil {
				t.Error(err)
				return
			}
			record(writers, in, call, out)
		})
		group.Wait()
	}
	all := strings.Fields(served.git("rev-list", "--first-parent", "main"))
	there := make(map[string]bool, len(all))
	for _, id := range all {
		there[id] = true
	}
	for id := range made {
		if !there[id] {
			t.Errorf("commit %s was answered and is not in the history", id)
		}
	}
	if got := served.git("rev-list", "--count", "--grep", "^Via: secretsync api$", "main"); got != fmt.Sprint(commits) {
		t.Errorf("%s commits of the API are in the history, %d were answered", got, commits)
	}
	head := mustParse(catalog.ParseRevision(served.git("rev-parse", "main")))
	for _, s := range stores {
		s.repo.Hint()
		s.agrees(s.at(head), "at the end")
		s.fsck()
	}
	t.Logf("%d operations, %d commits of the API, %s", len(history), commits, time.Since(begun))
	if t.Failed() {
		return
	}
	if result, _ := porcupine.CheckOperationsVerbose(linearModel, history, 2*time.Minute); result != porcupine.Ok {
		t.Errorf("no order explains what was answered: %s", result)
	}
}
