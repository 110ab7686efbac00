package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"secretsync/examples/devstack"
	"secretsync/httpapi/apikey"
)

// A key is made, and who holds the tenant dies before the other replica is told of it. That one refuses
// nobody who shows the key, and lets him in as soon as it has the tenant.
func TestAKeyThatWasMadeJustBeforeItsHolderDied(t *testing.T) {
	f := newFleet(t, 2, 6, calm)
	holder, other := f.replicas[0], f.replicas[1]
	tenant := f.tenantsOf(holder)[0]
	f.answers(holder, other)

	// From here on it is told of no key, and can't notice.
	watched := make(chan struct{}, 1)
	other.proxy.Inject(devstack.Fault{Drop: true, Match: func(r *http.Request) bool {
		watches := strings.HasSuffix(r.URL.Path, "/secrets") && r.URL.Query().Has("watch")
		if watches {
			select {
			case watched <- struct{}{}:
			default:
			}
		}
		return watches
	}})
	other.proxy.Disconnect()
	select {
	case <-watched:
	case <-time.After(patience):
		t.Fatal("it does not watch the keys again")
	}

	status, answer, err := f.call(holder, tenant, "POST", "/apikeys", `{"displayName":"Erin","role":"readonly"}`, "makes")
	made, wrong := *tenant, *tenant
	var key struct{ Key string }
	if err != nil || status != http.StatusCreated || json.Unmarshal([]byte(answer), &key) != nil {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	made.Secret = key.Key
	_, wrong.Secret = apikey.New(tenant.Tenant, apikey.Readonly, "Nobody")
	f.must(holder.stop(syscall.SIGKILL))
	for _, c := range []struct {
		of     *fleetTenant
		status int
	}{{&made, http.StatusServiceUnavailable}, {&wrong, http.StatusUnauthorized}} {
		if status, answer, err := f.call(other, c.of, "GET", "", "", "just-made"); err != nil || status != c.status {
			t.Errorf("%d %s %v; want %d", status, answer, err, c.status)
		}
	}
	f.await("the other one has the tenant, and lets him in", func() bool { return f.served(other, &made) })
}
