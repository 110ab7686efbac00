package kube

import (
	"cmp"
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

	"secretsync/reconcile/kube/client"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/refusal"
)

// feed is one resource to be followed, in one namespace or everywhere.
type feed struct {
	of       client.Resource
	list     func() runtime.Object
	begin    func()                               // a listing begins
	item     func(runtime.Object)                 // one object of it, which must not be kept
	complete func(rv string)                      // it is complete
	event    func(watch.EventType, metav1.Object) // an object was added, modified or deleted
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
	var p client.Pager
	expired, throttled := 0, 0
	for {
		token := c.client.Bearer.Token.Load()
		if rv, err = c.listOnce(ctx, f, &p); err == nil {
			return rv, nil
		}
		switch {
		case c.token(token, err):
		case apierrors.IsResourceExpired(err) && expired < 3: // the pages took too long
			expired++
		case refusal.KindOf(err) == refusal.Throttled && throttled < 10:
			throttled++
			sleep(ctx, c.clock, jitter(max(refusal.After(err), time.Second)))
		default:
			return "", err
		}
	}
}

func (c *connection) listOnce(ctx context.Context, f *feed, p *client.Pager) (rv string, err error) {
	f.begin()
	next := ""
	for {
		page := f.list()
		switch err := c.client.Page(ctx, f.of, p, next, page); {
		case errors.Is(err, client.ErrPageTooLarge):
			continue
		case err != nil:
			return "", err
		}
		items := 0
		if err := meta.EachListItem(page, func(o runtime.Object) error { items++; f.item(o); return nil }); err != nil {
			return "", err
		}
		p.Took(items, p.Size())
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
	within := client.LostAfter // for the watch to begin
	for ctx.Err() == nil {
		// Long, and different for every watch, so that they don't all return at once.
		lasting := 5*time.Minute + rand.N(5*time.Minute)
		began := c.clock.Now()
		token := c.client.Bearer.Token.Load()
		limit := c.config().timeout()
		w, err := c.client.Watch(ctx, f.of, rv, lasting, min(within, limit))
		switch {
		case c.token(token, err):
			continue
		case errors.Is(err, context.DeadlineExceeded) && within < limit && c.client.Answers(ctx, c.probed(f.of.Namespace)):
			within *= 2 // it was lost, or the server is slow
			continue
		case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			return errStale
		case refusal.KindOf(err) == refusal.Throttled:
			sleep(ctx, c.clock, jitter(max(refusal.After(err), time.Second)))
			continue
		case err != nil:
			return err
		}
		within = client.LostAfter
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
				return rv, fmt.Errorf("a watch of %s brought what is no object: %w", f.of.Kind, err)
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
	token := c.client.Bearer.Token.Load()
	now, err := c.client.Probe(ctx, c.probed(f.of.Namespace))
	if c.token(token, err) {
		now, err = c.client.Probe(ctx, c.probed(f.of.Namespace))
	}
	switch kind := refusal.KindOf(err); {
	case kind == refusal.Forbidden && f.of.Kind != "secrets":
		// The watches of Secrets will tell.
	case err != nil:
		return err
	case copies.Newer(rv, now):
		return errStale
	}
	if c.assumed {
		return nil // the resource version alone has to tell
	}
	uid, err := c.client.System(ctx)
	switch kind := refusal.KindOf(err); {
	case kind == refusal.Gone, err == nil && string(uid) != c.identity:
		return errAnother
	case kind == refusal.Unavailable, kind == refusal.Unauthorized:
		return err
	}
	return nil
}

// probed is a namespace where a probe may look, for lack of the one that is followed.
func (c *connection) probed(followed string) string {
	if followed != "" {
		return followed
	}
	return cmp.Or(c.mirror.Listed(), metav1.NamespaceDefault)
}

// followSecrets follows our Secrets in one namespace, or everywhere. told is
// called when they were listed.
func (c *connection) followSecrets(ctx context.Context, namespace string, told func()) error {
	var listing *mirror.Listing
	return c.follow(ctx, &feed{
		of:    client.Resource{Kind: "secrets", Namespace: namespace, Selector: copies.LabelTenant},
		list:  func() runtime.Object { return new(corev1.SecretList) },
		begin: func() { listing = c.mirror.Begin(namespace) },
		item:  func(o runtime.Object) { listing.Took(o.(*corev1.Secret)) },
		complete: func(rv string) {
			listing.Complete(rv)
			listing = nil
			told()
		},
		event: func(t watch.EventType, o metav1.Object) {
			s, ok := o.(*corev1.Secret)
			if !ok {
				return
			}
			at := copies.Key{Namespace: s.Namespace, Name: s.Name}
			if t == watch.Deleted {
				c.mirror.Saw(at, nil, s.ResourceVersion)
			} else {
				c.mirror.Saw(at, s, s.ResourceVersion)
			}
		},
	})
}

// followNamespaces follows the namespaces, and goes on without where we may not
// see them.
func (c *connection) followNamespaces(ctx context.Context, told func()) error {
	var listing *mirror.Namespaces
	var refusals backoff
	for {
		mine, again := c.untilLabelled(ctx)
		err := c.follow(mine, &feed{
			of:       client.Resource{Kind: "namespaces"},
			list:     func() runtime.Object { return new(corev1.NamespaceList) },
			begin:    func() { listing = c.mirror.BeginNamespaces() },
			item:     func(o runtime.Object) { listing.Took(o.(*corev1.Namespace)) },
			complete: func(string) { refusals = backoff{}; listing.Complete(); listing = nil; told() },
			event: func(t watch.EventType, o metav1.Object) {
				if t == watch.Deleted {
					c.mirror.NamespaceGone(o.GetName())
				} else {
					c.mirror.SawNamespace(o)
				}
			},
		})
		listAgain := mine.Err() != nil && ctx.Err() == nil
		again()
		switch {
		case listAgain:
			continue
		case refusal.KindOf(err) != refusal.Forbidden:
			return err
		}
		// It works without: what is written tells whether the namespace is
		// there. Only, one that appears is noticed at the next poll.
		if refusals.failures == 0 {
			c.log.Info("namespaces can't be watched; allow get, list and watch on namespaces to notice new ones at once")
		}
		c.mirror.NamespacesRefused()
		told()
		// A server that has just started refuses for a second or two; else a
		// person has to act.
		sleep(ctx, c.clock, refusals.next(time.Second, c.config().interval()))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// untilLabelled ends the context when labels are wanted that were not kept. The
// returned function ends it as well, and waits until nobody listens any more.
func (c *connection) untilLabelled(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-c.mirror.Unlabelled():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-ended }
}
