package kube

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
	"k8s.io/apimachinery/pkg/watch"
)

// feed is one resource to be followed, in one namespace or everywhere.
type feed struct {
	resource  string
	namespace string // empty: everywhere
	selector  string
	list      func() runtime.Object
	begin     func()                               // a listing begins
	item      func(runtime.Object)                 // one object of it, which must not be kept
	complete  func(rv string)                      // it is complete
	event     func(watch.EventType, metav1.Object) // an object was added, modified or deleted
}

var (
	// errStale: what was followed no longer continues what is known.
	errStale = errors.New("the watch can't be continued")
	// errAnother: the server is not the cluster that it was.
	errAnother = errors.New("another cluster answers")
)

// follow lists, watches and lists again where the watch can't be continued,
// until ctx ends or the cluster can't be used.
func (c *connection) follow(ctx context.Context, f *feed) error {
	for ctx.Err() == nil {
		rv, err := c.list(ctx, f)
		if err != nil {
			return err
		}
		if err := c.watchFrom(ctx, f, rv); !errors.Is(err, errStale) {
			return err
		}
	}
	return ctx.Err()
}

// list reads a resource page by page.
func (c *connection) list(ctx context.Context, f *feed) (rv string, err error) {
	var p pager
	expired, throttled := 0, 0
	for {
		token := c.client.bearer.token.Load()
		if rv, err = c.listOnce(ctx, f, &p); err == nil {
			return rv, nil
		}
		switch {
		case c.token(token, err):
		case apierrors.IsResourceExpired(err) && expired < 3: // the pages took too long
			expired++
		case kindOf(err) == Throttled && throttled < 10:
			throttled++
			sleep(ctx, c.clock, jitter(max(retryAfter(err), time.Second)))
		default:
			return "", err
		}
	}
}

func (c *connection) listOnce(ctx context.Context, f *feed, p *pager) (rv string, err error) {
	f.begin()
	next := ""
	for {
		page := f.list()
		switch err := c.client.page(ctx, f, p, next, page); {
		case errors.Is(err, errPageTooLarge):
			continue
		case err != nil:
			return "", err
		}
		items := 0
		if err := meta.EachListItem(page, func(o runtime.Object) error { items++; f.item(o); return nil }); err != nil {
			return "", err
		}
		p.took(items, p.buffer.Len())
		m, err := meta.ListAccessor(page)
		if err != nil {
			return "", err
		}
		if next = m.GetContinue(); next == "" {
			f.complete(m.GetResourceVersion())
			return m.GetResourceVersion(), nil
		}
	}
}

// watchFrom watches until that can't be continued, which is errStale, or the
// cluster can't be used.
func (c *connection) watchFrom(ctx context.Context, f *feed, rv string) error {
	within := lostAfter // for the watch to begin
	for ctx.Err() == nil {
		// Long, and different for every watch, so that they don't all return at once.
		lasting := 5*time.Minute + rand.N(5*time.Minute)
		began := c.clock.Now()
		token := c.client.bearer.token.Load()
		limit := c.config().timeout()
		w, err := c.client.watch(ctx, f, rv, lasting, min(within, limit))
		switch {
		case c.token(token, err):
			continue
		case errors.Is(err, context.DeadlineExceeded) && within < limit && c.client.answers(ctx, c.probed(f)):
			within *= 2 // it was lost, or the server is slow
			continue
		case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			return errStale
		case kindOf(err) == Throttled:
			sleep(ctx, c.clock, jitter(max(retryAfter(err), time.Second)))
			continue
		case err != nil:
			return err
		}
		within = lostAfter
		rv, err = c.drain(ctx, w, f, rv)
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case c.clock.Since(began) < lasting-time.Second:
			// It broke off. Is it still the same server, with what we saw?
			if err := c.continues(ctx, f, rv); err != nil {
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

// drain hands on the events of one watch and returns how far it came.
func (c *connection) drain(ctx context.Context, w watch.Interface, f *feed, rv string) (string, error) {
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
func (c *connection) continues(ctx context.Context, f *feed, rv string) error {
	token := c.client.bearer.token.Load()
	now, err := c.client.probe(ctx, c.probed(f))
	if c.token(token, err) {
		now, err = c.client.probe(ctx, c.probed(f))
	}
	switch kind := kindOf(err); {
	case kind == Forbidden && f.resource != "secrets":
		// The watches of Secrets will tell.
	case err != nil:
		return err
	case newer(rv, now):
		return errStale
	}
	if c.assumed {
		return nil // the resource version alone has to tell
	}
	uid, err := c.client.system(ctx)
	switch kind := kindOf(err); {
	case kind == Gone, err == nil && string(uid) != c.identity:
		return errAnother
	case kind == Unavailable, kind == Unauthorized:
		return err
	}
	return nil
}

// probed is a namespace where a probe may look, for lack of the feed's own.
func (c *connection) probed(f *feed) string {
	switch {
	case f.namespace != "":
		return f.namespace
	case c.everywhere():
		return metav1.NamespaceDefault
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for name, s := range c.scopes {
		if s.fault == nil {
			return name
		}
	}
	return metav1.NamespaceDefault
}

// everywhere reports that one watch sees all namespaces.
func (c *connection) everywhere() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.scopes[""] != nil
}

// followSecrets follows our Secrets in one namespace, or everywhere. told is
// called when they were listed.
func (c *connection) followSecrets(ctx context.Context, namespace string, told func()) error {
	var seen map[Key]*Copy
	return c.follow(ctx, &feed{
		resource:  "secrets",
		namespace: namespace,
		selector:  LabelTenant,
		list:      func() runtime.Object { return new(corev1.SecretList) },
		begin: func() {
			seen = make(map[Key]*Copy)
			c.listingBegins(namespace)
		},
		item: func(o runtime.Object) {
			s := o.(*corev1.Secret)
			seen[Key{intern(s.Namespace), s.Name}] = c.listed(s)
		},
		complete: func(rv string) {
			c.replaced(namespace, seen, rv)
			seen = nil
			told()
		},
		event: func(t watch.EventType, o metav1.Object) {
			s, ok := o.(*corev1.Secret)
			if !ok {
				return
			}
			at := Key{s.Namespace, s.Name}
			if t == watch.Deleted {
				c.saw(at, nil, s.ResourceVersion)
			} else {
				c.saw(at, s, s.ResourceVersion)
			}
		},
	})
}

// followNamespaces follows the namespaces, and goes on without where we may not
// see them.
func (c *connection) followNamespaces(ctx context.Context, told func()) error {
	seen := make(map[string]namespace)
	var refusals backoff
	for {
		var labelled int
		mine, again := c.untilLabelled(ctx)
		err := c.follow(mine, &feed{
			resource: "namespaces",
			list:     func() runtime.Object { return new(corev1.NamespaceList) },
			begin:    func() { clear(seen); labelled = c.selects() },
			item: func(o runtime.Object) {
				ns := o.(*corev1.Namespace)
				seen[ns.Name] = c.namespaceOf(ns)
			},
			complete: func(string) { refusals = backoff{}; c.replacedNamespaces(seen, labelled); told() },
			event: func(t watch.EventType, o metav1.Object) {
				if t == watch.Deleted {
					c.sawNamespace(o.GetName(), namespace{state: NamespaceMissing})
				} else {
					c.sawNamespace(o.GetName(), c.namespaceOf(o))
				}
			},
		})
		listAgain := mine.Err() != nil && ctx.Err() == nil
		again()
		switch {
		case listAgain:
			continue
		case kindOf(err) != Forbidden:
			return err
		}
		// It works without: what is written tells whether the namespace is
		// there. Only, one that appears is noticed at the next poll.
		if refusals.failures == 0 {
			c.log.Info("namespaces can't be watched; allow get, list and watch on namespaces to notice new ones at once")
		}
		c.replacedNamespaces(nil, 0)
		told()
		// A server that has just started refuses for a second or two; else a
		// person has to act.
		sleep(ctx, c.clock, refusals.next(time.Second, c.config().interval()))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func stateOf(o metav1.Object) NamespaceState {
	if o.GetDeletionTimestamp() != nil {
		return NamespaceTerminating
	}
	return NamespaceThere
}
