package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/httpapi/apikey"
)

// A replica that can't go over to other tenants says so, keeps what it has, and tries it again: when the cause is gone it works
// for all that it holds, without a further change. The cause here is an API key that somebody put back from a backup, by the id of
// one that stands in the configuration.
func TestATakeOverThatFailsIsTriedAgain(t *testing.T) {
	f := newFleet(t, 2, 8, 4*time.Second)
	a, b := f.replicas[0], f.replicas[1]
	f.answers(a, b)
	log := func() string { return readFile(t, filepath.Join(a.dir, "server.log")) }
	stands := f.tenants[0]
	entry, err := apikey.Encode(stands.Key)
	f.must(err)
	secrets := f.stack.Cluster("production").Admin.CoreV1().Secrets(f.home)
	double, err := secrets.Create(t.Context(), &core.Secret{
		ObjectMeta: meta.ObjectMeta{Name: "secretsync-keys-" + stands.Name, Annotations: map[string]string{"secretsync.dev/format": "1"}},
		Type:       "secretsync.dev/api-keys", Data: map[string][]byte{apikey.StoredName(stands.ID): entry},
	}, meta.CreateOptions{})
	f.must(err)
	f.must(b.stop(syscall.SIGKILL))
	await(t, "it says why it does not take over", func() bool { return strings.Contains(log(), "can't stand in the configuration as well") })
	f.await("it holds all there is, and waits for no change", func() bool { return f.settled(a) })
	f.must(secrets.Delete(t.Context(), double.Name, meta.DeleteOptions{}))
	f.answers(a)
	if n := strings.Count(log(), "can't stand in the configuration as well"); n > 2 {
		t.Errorf("it said so %d times", n)
	}
	if strings.Contains(log(), stands.Secret) {
		t.Error("it logs a key")
	}
}
