package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
)

// The reflector of client-go is not used here, for three reasons. It holds
// whole objects, values too, until a listing is complete; we keep records from
// the first page on. It believes that resource versions never go back, so after
// a restore of an older etcd it would wait in silence; we check after every
// break. And its backoff does not end with its context.

// newer reports whether resource version a comes after b. One that is not
// understood counts as newer, so that it is taken in.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}

// feed is one resource to be followed.
type feed struct {
	resource string
	selector string
	list     func() runtime.Object
	begin    func()                               // a listing begins
	item     func(runtime.Object)                 // one object of it, which must not be kept
	complete func(rv string)                      // it is complete
	event    func(watch.EventType, metav1.Object) // an object was added, modified or deleted
}

// errStale: what was followed no longer continues what is known.
var errStale = errors.New("the watch can't be continued")

// follow lists, watches and lists again where the watch can't be continued,
// until ctx ends or the cluster can't be used.
func (c *cluster) follow(ctx context.Context, client *kubeClient, f feed) error {
	for ctx.Err() == nil {
		rv, err := c.listAll(ctx, client, f)
		if err != nil {
			return err
		}
		if err := c.watchFrom(ctx, client, f, rv); !errors.Is(err, errStale) {
			return err
		}
	}
	return ctx.Err()
}

// listAll reads a resource page by page.
func (c *cluster) listAll(ctx context.Context, client *kubeClient, f feed) (rv string, err error) {
	for attempt := 0; ; attempt++ {
		f.begin()
		next := ""
		for {
			page := f.list()
			if err = client.list(ctx, f.resource, f.selector, next, listPage, page); err != nil {
				break
			}
			if err = meta.EachListItem(page, func(o runtime.Object) error { f.item(o); return nil }); err != nil {
				return "", err
			}
			m, err := meta.ListAccessor(page)
			if err != nil {
				return "", err
			}
			if next = m.GetContinue(); next == "" {
				f.complete(m.GetResourceVersion())
				return m.GetResourceVersion(), nil
			}
		}
		switch {
		case apierrors.IsResourceExpired(err) && attempt < 3: // the pages took too long
		case refusalOf(err) == refusedThrottled && attempt < 10:
			sleep(ctx, c.clock, jitter(retryAfter(err)))
		default:
			return "", err
		}
	}
}

// watchFrom watches until that can't be continued, which is errStale, or the
// cluster can't be used.
func (c *cluster) watchFrom(ctx context.Context, client *kubeClient, f feed, rv string) error {
	identity := types.UID("")
	for attempt := 0; ctx.Err() == nil; attempt++ {
		// Long, and different for every watch, so that they don't all return at once.
		timeout := 5*time.Minute + rand.N(5*time.Minute)
		began := c.clock.Now()
		w, err := client.watch(ctx, f.resource, f.selector, rv, timeout)
		switch {
		case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			return errStale
		case refusalOf(err) == refusedThrottled:
			sleep(ctx, c.clock, jitter(retryAfter(err)))
			continue
		case err != nil:
			return err
		}
		if identity == "" {
			// May be empty where we are not allowed to ask; then the resource
			// version alone has to tell.
			identity, _ = client.namespaceUID(ctx, metav1.NamespaceSystem)
		}
		rv, err = c.drainWatch(ctx, w, f, rv)
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case c.clock.Since(began) < timeout-time.Second:
			// It broke off. Is it still the same server, with what we saw?
			if err := c.continues(ctx, client, identity, rv); err != nil {
				return err
			}
			if c.clock.Since(began) < time.Second {
				sleep(ctx, c.clock, jitter(time.Second)) // a proxy that lets no watch live
			}
		}
	}
	return ctx.Err()
}

// watchSilence is how long a watch may bring nothing: servers send a bookmark
// about every minute.
const watchSilence = 3 * time.Minute

// drainWatch hands on the events of one watch and returns how far it came.
func (c *cluster) drainWatch(ctx context.Context, w watch.Interface, f feed, rv string) (string, error) {
	defer w.Stop()
	silence := c.clock.NewTimer(watchSilence)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return rv, nil
		case <-silence.C():
			return rv, nil // the connection may be dead without anybody having been told
		case e, ok := <-w.ResultChan():
			if !ok {
				return rv, nil
			}
			if e.Type == watch.Error {
				err := apierrors.FromObject(e.Object)
				if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
					return rv, errStale
				}
				// The stream was cut in the middle, or the server has trouble
				// that the check which follows will find.
				return rv, nil
			}
			o, err := meta.Accessor(e.Object)
			if err != nil {
				return rv, fmt.Errorf("a watch of %s brought what is no object: %w", f.resource, err)
			}
			rv = o.GetResourceVersion()
			silence.Reset(watchSilence)
			if e.Type != watch.Bookmark {
				f.event(e.Type, o)
			}
		}
	}
}

// continues checks that the server still holds what we saw of it: that it is
// the same cluster, and did not go back to an older state.
func (c *cluster) continues(ctx context.Context, client *kubeClient, identity types.UID, rv string) error {
	now, err := c.current(ctx, client)
	if err != nil {
		return err
	}
	if newer(rv, now) {
		return errStale
	}
	if identity == "" {
		return nil
	}
	uid, err := client.namespaceUID(ctx, metav1.NamespaceSystem)
	switch {
	case apierrors.IsNotFound(err) || err == nil && uid != identity:
		return errStale
	case refusalOf(err) == refusedElsewhere:
		return err
	}
	return nil
}

// current asks for the resource version the server is at. A server that is well
// has told it within a few seconds.
func (c *cluster) current(ctx context.Context, client *kubeClient) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var list corev1.SecretList
	err := client.list(ctx, "secrets", ownSelector, "", 1, &list)
	return list.ResourceVersion, err
}

func (c *cluster) followSecrets(ctx context.Context, client *kubeClient, listed chan<- struct{}) error {
	var seen map[placeKey]*record
	first := true
	return c.follow(ctx, client, feed{
		resource: "secrets",
		selector: ownSelector,
		list:     func() runtime.Object { return new(corev1.SecretList) },
		begin: func() {
			seen = make(map[placeKey]*record)
			c.mu.Lock()
			c.listing++
			c.mu.Unlock()
		},
		item: func(o runtime.Object) {
			s := o.(*corev1.Secret)
			seen[placeKey{intern(s.Namespace), s.Name}] = c.hasher.observe(s)
		},
		complete: func(rv string) {
			c.replaced(seen, rv)
			seen = nil
			if first {
				listed <- struct{}{}
				first = false
			}
		},
		event: func(t watch.EventType, o metav1.Object) {
			s, ok := o.(*corev1.Secret)
			if !ok {
				return
			}
			key := placeKey{s.Namespace, s.Name}
			if t == watch.Deleted {
				c.saw(key, nil, s.ResourceVersion)
			} else {
				c.saw(key, c.hasher.observe(s), s.ResourceVersion)
			}
		},
	})
}

func (c *cluster) followNamespaces(ctx context.Context, client *kubeClient, listed chan<- struct{}) error {
	seen := make(map[string]namespaceState)
	first := true
	var refusals backoff
	told := func() {
		if first {
			listed <- struct{}{}
			first = false
		}
	}
	for {
		err := c.follow(ctx, client, feed{
			resource: "namespaces",
			list:     func() runtime.Object { return new(corev1.NamespaceList) },
			begin:    func() { clear(seen) },
			item: func(o runtime.Object) {
				ns := o.(*corev1.Namespace)
				seen[ns.Name] = stateOfNamespace(ns)
			},
			complete: func(string) { refusals = backoff{}; c.replacedNamespaces(seen); told() },
			event: func(t watch.EventType, o metav1.Object) {
				if t == watch.Deleted {
					c.sawNamespace(o.GetName(), namespaceMissing)
				} else {
					c.sawNamespace(o.GetName(), stateOfNamespace(o))
				}
			},
		})
		if refusalOf(err) != refusedForbidden {
			return err
		}
		// It works without: what is written tells whether the namespace is
		// there. Only, one that appears is noticed at the next poll.
		if refusals.failures == 0 {
			c.log.Warn("namespaces can't be watched; allow get, list and watch on namespaces to notice new ones at once", "cause", serverSaid(err, nil))
		}
		c.replacedNamespaces(nil)
		told()
		// A server that has just started refuses for a second or two; else a
		// person has to act.
		sleep(ctx, c.clock, refusals.next(time.Second, 10*time.Minute))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func stateOfNamespace(o metav1.Object) namespaceState {
	if o.GetDeletionTimestamp() != nil {
		return namespaceTerminating
	}
	return namespaceThere
}
