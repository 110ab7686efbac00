package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/gitstore"
	"secretsync/reconcile/shard"
)

// A replica that had a tenant long ago takes it over while the Git server is down. What it knows
// of the tenant's definitions is old: it tells so, and writes nothing by it.
func TestATakeOverWithoutTheGitServerWritesNothingThatIsOld(t *testing.T) {
	f := makeFleet(t, 2, 6, 4*time.Second)
	former, latter := f.replicas[0], f.replicas[1]
	tenant := f.tenantsOf(latter)[0]
	path := "/secrets/" + tenant.Name + "-seed-0"
	copied := func() (keys []string) {
		s, err := f.stack.Cluster("production").Admin.CoreV1().Secrets(f.namespace).Get(t.Context(), tenant.Name+"-seed-0", meta.GetOptions{})
		f.must(err)
		return slices.Sorted(maps.Keys(s.Data))
	}
	says := func(r *process, words ...string) bool {
		status, answer, err := f.call(r, tenant, "GET", path, "", "look")
		return err == nil && status == 200 && slices.ContainsFunc(words, func(word string) bool { return strings.Contains(answer, word) })
	}
	f.must(former.serve())
	f.await("the first one has copied", func() bool { return says(former, `"phase":"Active"`) })
	f.must(latter.serve())
	f.await("the shards are shared", func() bool { return f.settled(former, latter) })
	f.await("the second one answers", func() bool { return f.served(latter, tenant) })
	if status, answer, err := f.call(latter, tenant, "PATCH", path, `{"data":{"of":{"key":"of"}}}`, "change"); err != nil || status != 200 {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	f.await("the change is copied", func() bool { return slices.Equal(copied(), []string{"of"}) })

	f.gitDown.Store(true)
	f.must(latter.stop(syscall.SIGKILL))
	f.await("the first one has looked at it again", func() bool { return says(former, `"phase":"Active"`, "nothing is written for tenant") })
	if keys := copied(); !slices.Equal(keys, []string{"of"}) {
		t.Errorf("the copy became an older one, with %v", keys)
	}
	f.gitDown.Store(false)
	f.await("it is as it was changed", func() bool { return says(former, `"phase":"Active"`) && says(former, `"data":{"of"`) })
	if keys := copied(); !slices.Equal(keys, []string{"of"}) {
		t.Errorf("the copy has %v", keys)
	}
}

// Who takes a tenant over in order knows that nothing happened to its branch since it prepared: the Git
// server, which would have to answer for all tenants of a shard at that moment, is not waited for.
func TestAHandOverInOrderDoesNotWaitForTheGitServer(t *testing.T) {
	f := makeFleet(t, 2, 6, calm)
	former, latter := f.replicas[0], f.replicas[1]
	f.must(former.serve())
	f.answers(former)
	for i := range f.tenants {
		if status, answer, err := f.post(former, &f.tenants[i], "late"); err != nil || status != 201 {
			t.Fatalf("%d %s %v", status, answer, err)
		}
	}

	// It says nothing of tenants that the second one has.
	leases := f.stack.Cluster("production").Admin.CoordinationV1().Leases(f.home)
	over := make(chan struct{})
	gate := func(name string) {
		tenant, err := gitstore.ParseTenantName(name)
		if err != nil {
			t.Error(err)
			return
		}
		lease, err := leases.Get(context.Background(), fmt.Sprintf("secretsync-shard-%d", shard.Of(tenant, shard.DefaultShards)), meta.GetOptions{})
		if err == nil && lease.Spec.HolderIdentity != nil && strings.HasPrefix(*lease.Spec.HolderIdentity, latter.name+"_") {
			<-over
		}
	}
	f.gitGate.Store(&gate)
	defer close(over)
	f.must(latter.serve())
	f.await("the shards are shared", func() bool { return f.settled(former, latter) })
	f.must(former.stop(syscall.SIGTERM))
	for i := range f.tenants {
		tenant := &f.tenants[i]
		f.await("the second one answers for "+tenant.Name+", and has what was written last", func() bool {
			status, answer, err := f.call(latter, tenant, "GET", "/secrets/late", "", "look")
			return err == nil && status == 200 && strings.Contains(answer, `"phase":"Active"`)
		})
	}
	log, err := os.ReadFile(filepath.Join(latter.dir, "server.log"))
	f.must(err)
	if strings.Contains(string(log), "is taken over while its remote repository can't be asked") {
		t.Error("the Git server was waited for till it took too long")
	}
}
