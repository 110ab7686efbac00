package devstack_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"secretsync/examples/devstack"
)

func TestAFaultBefallsTheRequestsItMatches(t *testing.T) {
	stack := devstack.Shared(t)
	proxy, err := stack.Vault.Proxy()
	must(t, err)
	defer proxy.Close()
	health := proxy.URL + "/v1/sys/health"
	// Only who is never answered is soon given up on: what comes may take its time.
	const never, comes = 300 * time.Millisecond, 10 * time.Second
	for name, c := range map[string]struct {
		fault    devstack.Fault
		patience time.Duration
		check    func(*http.Response, error) bool
	}{
		"none": {devstack.Fault{Match: func(r *http.Request) bool { return r.Method == "PUT" }, Reset: true}, comes,
			func(r *http.Response, err error) bool { return err == nil && r.StatusCode == 200 }},
		"a status": {devstack.Fault{Times: 1, Status: 429, Header: http.Header{"Retry-After": {"7"}}}, comes,
			func(r *http.Response, err error) bool {
				return err == nil && r.StatusCode == 429 && r.Header.Get("Retry-After") == "7"
			}},
		"a reset": {devstack.Fault{Reset: true}, comes, // more than once: the client tries again by itself
			func(_ *http.Response, err error) bool {
				return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
			}},
		"a dropped answer": {devstack.Fault{Times: 1, Drop: true}, never,
			func(_ *http.Response, err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"a delay that is longer than the client waits": {devstack.Fault{Times: 1, Delay: time.Hour}, never,
			func(_ *http.Response, err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"a cut answer": {devstack.Fault{Times: 1, Truncate: 10}, comes,
			func(r *http.Response, err error) bool {
				return err != nil && !errors.Is(err, context.DeadlineExceeded)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Inject(c.fault)
			response, err := get(t, health, c.patience)
			if !c.check(response, err) {
				t.Errorf("the client got %v, %v", response, err)
			}
			proxy.Clear()
			if response, err := get(t, health, comes); err != nil || response.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %v, %v; want 200", response, err)
			}
		})
	}
}

func TestAFrozenNetworkHoldsWhatIsUnderWay(t *testing.T) {
	ctx := t.Context()
	cluster := devstack.Shared(t).Cluster("staging")
	must(t, cluster.CreateNamespace(ctx, "frozen"))
	proxy, err := cluster.Proxy()
	must(t, err)
	defer proxy.Close()
	client := kubernetes.NewForConfigOrDie(proxy.Config)
	watched, err := client.CoreV1().Secrets("frozen").Watch(ctx, meta.ListOptions{})
	must(t, err)
	defer watched.Stop()
	createSecret(t, client, "frozen", "before")
	expect(t, watched, "before")

	proxy.Freeze()
	createSecret(t, cluster.Admin, "frozen", "meanwhile")
	if _, err := get(t, proxy.URL+"/healthz", 100*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request through a frozen network: %v; want no answer", err)
	}
	select {
	case event := <-watched.ResultChan():
		t.Errorf("an event came through a frozen network: %v", event.Type)
	default:
	}
	proxy.Thaw()
	expect(t, watched, "meanwhile")

	proxy.Disconnect()
	for range watched.ResultChan() { // ends with the connection
	}
	// A read is tried again over a new connection where the old one turns out to be dead; a write is not.
	_, err = client.CoreV1().Secrets("frozen").Get(ctx, "before", meta.GetOptions{})
	must(t, err)
	createSecret(t, client, "frozen", "after")
}

func expect(t *testing.T, watched watch.Interface, name string) {
	t.Helper()
	event := <-watched.ResultChan()
	object, err := apimeta.Accessor(event.Object)
	if err != nil || object.GetName() != name {
		t.Errorf("watched %v; want the Secret %s", event, name)
	}
}

// get returns the answer once its body is read.
func get(t *testing.T, url string, patience time.Duration) (*http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response, err
}
