package kube

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"secretsync/examples/devstack"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/refusal"
)

// What is asked of the cluster as a connection begins, and is never answered.
func TestARequestThatIsLostIsMadeAgainAsSoonAsTheServerAnswers(t *testing.T) {
	t.Parallel()
	firstPage := func(r *http.Request) bool {
		return isList(r) && r.URL.Query().Get("labelSelector") != "" && r.URL.Query().Get("fieldSelector") == ""
	}
	for name, match := range map[string]func(*http.Request) bool{
		"which cluster it is":            func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/namespaces/kube-system") },
		"the listing of Secrets":         firstPage,
		"the listing of namespaces":      func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/namespaces") && !isWatch(r) },
		"the beginning of the watch":     func(r *http.Request) bool { return isWatch(r) && strings.HasSuffix(r.URL.Path, "/secrets") },
		"the beginning of the other one": func(r *http.Request) bool { return isWatch(r) && strings.HasSuffix(r.URL.Path, "/namespaces") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := newProxy(t)
			proxy.Inject(devstack.Fault{Match: match, Drop: true, Times: 1})
			// Nothing that has its time over makes up for it.
			w := newWorld(t, via(proxy), func(w *world) { w.config.Timeout = 10 * time.Minute })
			w.up()
			d := w.desired("db", 1, "a=1")
			r, err := w.c.Create(w.ctx, d)
			if refusal.KindOf(err) == refusal.Unavailable { // the same connection carried what was dropped
				r, err = w.c.Create(w.ctx, d)
			}
			if refusal.KindOf(err) == refusal.Exists { // it was made all the same, and only the answer lost
				r, err = w.c.Read(w.ctx, d.Key)
			}
			w.must(err)
			w.edit("db", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
			w.seen("db", "edited", func(s mirror.Seen) bool { return s.Copy != nil && !s.Copy.Intact && s.Copy.UID == r.UID })
			w.must(w.real.CreateNamespace(w.ctx, w.namespace+"-2"))
			w.until("there", func() bool {
				return w.c.Look(copies.Key{Namespace: w.namespace + "-2", Name: "x"}).Namespace == mirror.NamespaceThere
			})
			if strings.Contains(w.logs.String(), "unusable") {
				t.Error("it was told to be away")
			}
		})
	}
}

// A server that is away for a while loses what was asked meanwhile; the listing
// of before is not waited for.
func TestAListingThatWasLostInAnOutageIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	listed := make(chan struct{}, 100)
	proxy.Inject(devstack.Fault{Drop: true, Match: func(r *http.Request) bool {
		if isList(r) && r.URL.Query().Get("labelSelector") != "" {
			listed <- struct{}{}
			return true
		}
		return false
	}})
	w := newWorld(t, via(proxy), hasty, func(w *world) { w.config.ListTimeout = 10 * time.Minute })
	<-listed
	<-listed // the one beside it
	proxy.Clear()
	w.up()
}

// A server that is slow for so many Secrets is not asked for them again and again.
func TestASlowListingIsAskedForAFewTimesOnly(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	var asked atomic.Int64
	proxy.Inject(devstack.Fault{Delay: 9 * time.Second, Match: func(r *http.Request) bool {
		if !isList(r) || r.URL.Query().Get("labelSelector") == "" || r.URL.Query().Get("continue") != "" {
			return false
		}
		asked.Add(1)
		return true
	}})
	w := newWorld(t, via(proxy), hasty)
	w.up()
	if n := asked.Load(); n > 3 || strings.Contains(w.logs.String(), "unusable") {
		t.Errorf("asked %d times", n)
	}
}

// relay passes bytes on, and can stop to do so on the connections that are open
// without closing them, as a router does that forgot them.
type relay struct {
	listener net.Listener
	mu       sync.Mutex
	open     []chan struct{}
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				near.Close()
				continue
			}
			deaf := make(chan struct{})
			r.mu.Lock()
			r.open = append(r.open, deaf)
			r.mu.Unlock()
			ends := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				wg.Go(func() {
					buffer := make([]byte, 32<<10)
					for {
						n, err := way[0].Read(buffer)
						select {
						case <-deaf:
							if err == nil {
								continue
							}
						default:
							if err == nil {
								_, err = way[1].Write(buffer[:n])
							}
						}
						if err != nil {
							ends()
							near.Close()
							far.Close()
							return
						}
					}
				})
			}
		}
	})
	t.Cleanup(func() { l.Close(); cancel(); wg.Wait() })
	return r
}

func (r *relay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, deaf := range r.open {
		close(deaf)
	}
	r.open = nil
}

// Of a connection that is dead without anybody having been told, the next one is
// not made over the same.
func TestADeadConnectionIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	var r *relay
	w := newWorld(t, func(w *world) {
		r = newRelay(t, strings.TrimPrefix(w.real.URL, "https://"))
		cfg := rest.CopyConfig(w.real.Config)
		cfg.Host = "https://" + r.listener.Addr().String()
		w.config.Kubeconfig, w.config.REST, w.config.Timeout = "", cfg, time.Second
	})
	w.up()
	r.forget()
	if _, err := w.c.Create(w.ctx, w.desired("db", 1, "a=1")); err == nil {
		t.Fatal("it is not dead")
	}
	w.until("created over another", func() bool {
		_, err := w.c.Create(w.ctx, w.desired("db", 1, "a=1"))
		return err == nil || refusal.KindOf(err) == refusal.Exists
	})
}
