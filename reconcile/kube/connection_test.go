package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"secretsync/examples/devstack"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/client"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/kube/way"
)

// dropped is how long a request is waited for where some are never answered. One that is answered takes less
// on most machines: where none is dropped, a world waits for longer.
const dropped = 5 * time.Second

// via has a world go through a proxy.
func via(p *devstack.Proxy) func(*world) {
	return func(w *world) { w.config.Kubeconfig, w.config.REST = "", p.Config }
}

// hasty has a world give up what is not answered soon.
func hasty(w *world) { w.config.Timeout = dropped }

// hastyFor is hasty where a fault answers nothing.
func hastyFor(broken devstack.Fault) func(*world) {
	return func(w *world) {
		if broken.Drop {
			hasty(w)
		}
	}
}

func isWrite(r *http.Request) bool { return r.Method != http.MethodGet }
func isWatch(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }
func isList(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/secrets") && r.Method == http.MethodGet && !isWatch(r)
}

func TestAClusterThatIsAwayIsFoundAndComesBack(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]devstack.Fault{
		"connections are reset": {Reset: true},
		"it answers 503":        {Status: http.StatusServiceUnavailable},
		"it answers 500":        {Status: http.StatusInternalServerError},
		"it answers nothing":    {Drop: true},
		"answers are cut short": {Truncate: 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := newProxy(t)
			w := newWorld(t, via(proxy), hastyFor(broken)).up()
			identity := w.c.Identity()
			w.create(w.desired("db", 1, "a=1"))
			proxy.Inject(broken)
			proxy.Disconnect()
			var down *fault.Outage
			w.until("away", func() bool { down = w.c.Outage(); return down != nil && down.Reason == fault.ReasonClusterUnreachable })
			if strings.Contains(down.Message, "127.0.0.1") || !down.Again || w.c.Identity() != identity {
				t.Errorf("%+v", down)
			}
			if _, err := w.c.Create(w.ctx, w.desired("other", 1, "a=1")); refusal.KindOf(err) != refusal.Unavailable {
				t.Errorf("%v", err)
			}
			w.edit("db", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
			proxy.Clear()
			w.up()
			if s := w.c.Look(w.at("db")); s.Copy == nil || s.Copy.Intact {
				t.Errorf("%v", s.Copy)
			}
		})
	}
}

func TestOneRequestsTroubleIsNotTheClusters(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]devstack.Fault{
		"writes are answered 500":      {Status: 500},
		"writes are answered 503":      {Status: 503},
		"writes are answered 408":      {Status: 408},
		"writes are not answered":      {Drop: true},
		"writes are asked to wait":     {Status: 429, Header: http.Header{"Retry-After": {"7"}}},
		"writes are answered 403":      {Status: 403},
		"writes come to a broken line": {Reset: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := newProxy(t)
			w := newWorld(t, via(proxy), hastyFor(broken)).up()
			broken.Match = isWrite
			proxy.Inject(broken)
			for range 3 {
				_, err := w.c.Create(w.ctx, w.desired("db", 1, "a=1"))
				want := map[int]refusal.Kind{429: refusal.Throttled, 403: refusal.Forbidden}[broken.Status]
				if want == refusal.None {
					want = refusal.Unavailable
				}
				if refusal.KindOf(err) != want || broken.Status == 429 && err.(*refusal.Error).After != 7*time.Second {
					t.Fatalf("%s: %v", refusal.KindOf(err), err)
				}
			}
			// The doubt is over.
			w.until("the probe", func() bool { return len(w.c.suspect) == 0 })
			if w.c.Outage() != nil || w.told.all("") != 1 {
				t.Error("the cluster was taken for away")
			}
			proxy.Clear()
			w.create(w.desired("db2", 1, "a=1"))
		})
	}
}

func TestAWriteThatIsToldToStopStops(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	w := newWorld(t, via(proxy), func(w *world) { w.config.Timeout = time.Hour }).up()
	proxy.Inject(devstack.Fault{Drop: true, Match: isWrite})
	ctx, cancel := context.WithCancel(w.ctx)
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := w.c.Create(ctx, w.desired("db", 1, "a=1")); err != context.Canceled {
		t.Errorf("%v", err)
	}
}

func TestAnEditDuringABrokenWatchIsFound(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	w := newWorld(t, via(proxy)).up()
	w.create(w.desired("one", 1, "a=1"))
	w.create(w.desired("two", 1, "a=1"))
	proxy.Inject(devstack.Fault{Match: isWatch, Status: 500, Times: 1})
	proxy.Disconnect()
	w.edit("one", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	w.remove("two")
	w.seen("one", "edited", func(s mirror.Seen) bool { return !s.Copy.Intact })
	w.seen("two", "gone", func(s mirror.Seen) bool { return s.Copy == nil })
	// The watch is told that it is too old.
	proxy.Inject(devstack.Fault{Match: isWatch, Status: http.StatusGone, Times: 2})
	proxy.Disconnect()
	w.remove("one")
	w.seen("one", "gone", func(s mirror.Seen) bool { return s.Copy == nil && s.Left })
}

func TestAnAPIServerThatRestartsAndOneThatLostEverything(t *testing.T) {
	t.Parallel()
	stack := devstack.StartT(t, devstack.Options{Clusters: []string{"own"}, NoVault: true})
	w := newWorldOn(t, stack.Cluster("own")).up()
	identity := w.c.Identity()
	d := w.desired("db", 1, "a=1")
	w.create(d)
	w.real.Stop()
	w.until("away", func() bool { return w.c.Outage() != nil })
	w.must(w.real.Start(w.ctx))
	w.up()
	if w.c.Identity() != identity || !w.c.Look(d.Key).Copy.Right(owner, d.Stamp, "", 0) {
		t.Errorf("%v", w.c.Look(d.Key).Copy)
	}
	w.edit("db", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	w.seen("db", "edited", func(s mirror.Seen) bool { return !s.Copy.Intact })

	// It comes back having lost everything: the resource versions go on in the
	// same etcd, but it is another cluster.
	w.real.Stop()
	w.must(w.real.StartEmpty(w.ctx))
	w.until("another cluster", func() bool { return w.c.Outage() == nil && w.c.Identity() != identity })
	if s := w.c.Look(d.Key); s.Copy != nil || s.Namespace != mirror.NamespaceMissing {
		t.Errorf("%+v", s)
	}
	w.must(w.real.CreateNamespace(w.ctx, w.namespace))
	w.until("there", func() bool { return w.c.Look(d.Key).Namespace == mirror.NamespaceThere })
	r := w.create(d)
	w.edit("db", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	w.seen("db", "edited", func(s mirror.Seen) bool { return !s.Copy.Intact && s.Copy.UID == r.UID })
}

func TestAServerThatGoesBackIsListedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	k := &connection{Cluster: w.c, client: w.c.client.Load(), identity: w.c.Identity()}
	ctx := w.ctx
	now, err := k.client.Probe(ctx, w.namespace)
	w.must(err)
	r := w.create(w.desired("db", 1, "a=1"))
	later, err := k.client.Probe(ctx, w.namespace)
	w.must(err)
	// The probe tells of what was written anywhere before it.
	if !copies.Newer(r.ResourceVersion, now) || copies.Newer(r.ResourceVersion, later) {
		t.Errorf("probed %s, wrote %s, probed %s", now, r.ResourceVersion, later)
	}
	if err := k.continues(ctx, &feed{of: client.Resource{Kind: "secrets"}}, later); err != nil {
		t.Errorf("%v", err)
	}
	if err := k.continues(ctx, &feed{of: client.Resource{Kind: "secrets"}}, later+"0"); err != errStale {
		t.Errorf("a server at an older version: %v", err)
	}
	k.identity = "another"
	if err := k.continues(ctx, &feed{of: client.Resource{Kind: "secrets"}}, later); err != errAnother {
		t.Errorf("another cluster: %v", err)
	}
}

func TestASlowListingIsNoOutage(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	// The first page alone is slow: how many there are goes by what the other
	// tests have in the cluster at the same time.
	slow := func(r *http.Request) bool {
		return isList(r) && r.URL.Query().Get("labelSelector") != "" && r.URL.Query().Get("continue") == ""
	}
	proxy.Inject(devstack.Fault{Match: slow, Delay: dropped + time.Second})
	w := newWorld(t, via(proxy), hasty) // any other request has less
	w.up()
	if strings.Contains(w.logs.String(), "unusable") {
		t.Error("it was taken for away")
	}
	before := w.metrics.of("list")
	// A doubt is settled without that listing.
	w.c.doubt(context.DeadlineExceeded)
	w.until("probed", func() bool { return w.metrics.of("list") > before })
	w.create(w.desired("db", 1, "a=1"))
	if w.c.Outage() != nil {
		t.Error("it is taken for away")
	}
}

func TestAListingThatExpiresIsAnOutageWithItsCause(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	w := newWorld(t, via(proxy), func(*world) {
		proxy.Inject(devstack.Fault{Match: func(r *http.Request) bool { return isList(r) && r.URL.Query().Get("labelSelector") != "" }, Status: http.StatusGone})
	})
	var down *fault.Outage
	w.until("away", func() bool { down = w.c.Outage(); return down != nil && down.Reason == fault.ReasonClusterUnreachable })
	if !strings.Contains(down.Message, "takes longer than the cluster keeps") {
		t.Errorf("%q", down.Message)
	}
	proxy.Clear()
	w.up()
}

func TestLargeSecretsAreListedInBoundedMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	large := strings.Repeat("x", 900<<10)
	const count = 60 // 54 MB: more than one page may be
	for i := range count {
		w.create(w.desired(fmt.Sprintf("db-%d", i), 1, "a="+large))
	}
	k := &connection{Cluster: w.c, client: w.c.client.Load()}
	var p client.Pager
	for range 10 {
		p.Took(1, 1) // it asks for as many as it may, as after many small ones
	}
	listed, largest := 0, 0
	_, err := k.listOnce(w.ctx, &feed{
		of: client.Resource{Kind: "secrets", Namespace: w.namespace, Selector: copies.LabelTenant}, list: func() runtime.Object { return new(corev1.SecretList) }, begin: func() {},
		item: func(runtime.Object) { listed++; largest = max(largest, p.Size()) }, complete: func(string) {},
	}, &p)
	w.must(err)
	if listed != count || largest > 32<<20 || p.Size() > 10<<20 {
		t.Errorf("%d listed, the largest page of %d bytes, the last of %d", listed, largest, p.Size())
	}
	for i := range count {
		w.remove(fmt.Sprintf("db-%d", i))
	}
}

func TestEventsAreCountedNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	for range 5 {
		w.c.Warn(w.at("db"), "Contended", "kubectl-edit changes it again and again")
	}
	var events []corev1.Event
	w.until("counted", func() bool {
		list, err := w.real.Admin.CoreV1().Events(w.namespace).List(w.ctx, metav1.ListOptions{})
		w.must(err)
		events = list.Items
		return len(events) > 0 && events[0].Count == 5
	})
	e := events[0]
	if len(events) != 1 || e.Reason != "Contended" || e.Type != corev1.EventTypeWarning || e.InvolvedObject.Name != "db" || e.Source.Component != copies.ManagedBy {
		t.Errorf("%d events: %+v", len(events), e)
	}
	// Many that differ are combined.
	for i := range 30 {
		w.c.Warn(w.at("other"), "Denied", fmt.Sprintf("cause %d", i))
	}
	w.until("combined", func() bool {
		list, err := w.real.Admin.CoreV1().Events(w.namespace).List(w.ctx, metav1.ListOptions{})
		w.must(err)
		for _, e := range list.Items {
			if strings.HasPrefix(e.Message, "(combined from similar events)") {
				return len(list.Items) <= 1+10
			}
		}
		return false
	})
}

func TestAnotherReasonIsProbedSoonAfterALongOutage(t *testing.T) {
	var p patience
	for range 20 {
		p.next(fault.ReasonClusterUnreachable, time.Hour)
	}
	if wait := p.next(fault.ReasonForbidden, time.Hour); wait > patienceFirst {
		t.Errorf("the first refusal after an outage is waited out %s", wait)
	}
	var longest time.Duration
	for range 20 {
		longest = p.next(fault.ReasonForbidden, time.Hour)
	}
	if longest < 30*time.Second || longest > time.Minute {
		t.Errorf("a cluster that goes on refusing is asked again after %s", longest)
	}
}

func TestAnOutageTellsNoAddressAndNoFile(t *testing.T) {
	for name, err := range map[string]error{
		"no answer":   &url.Error{Op: "Get", URL: "https://10.1.2.3:6443/" + canary, Err: errors.New(canary)},
		"no way":      &way.Blocked{Said: "its kubeconfig does not exist", Detail: errors.New("/etc/" + canary)},
		"an answer":   apierrors.NewInternalError(errors.New(canary)),
		"no rights":   apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", errors.New(`User "`+canary+`" cannot list`)),
		"no log-in":   apierrors.NewUnauthorized(canary),
		"old listing": apierrors.NewResourceExpired(canary),
	} {
		outage := explain(err)
		if outage.Message == "" || strings.Contains(outage.Message, canary) || strings.Contains(outage.Message, "10.1.2.3") {
			t.Errorf("%s: %q", name, outage.Message)
		}
	}
}
