package kube

import (
	"context"
	"slices"
	"sync"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/refusal"
)

// followCopies follows our Secrets: everywhere by one watch where the cluster
// lets us, else in each namespace that matters by one of its own. told is called
// when the first look at all of them is over. Where none matters there is nothing to
// be seen: that we may see nothing is no trouble then, and a replica that works for
// nobody here has no alert.
func (c *connection) followCopies(ctx context.Context, told func()) error {
	allowed := false
	err := c.followSecrets(ctx, "", func() { allowed = true; told() })
	if refusal.KindOf(err) != refusal.Forbidden || allowed {
		return err // what was allowed until now begins anew
	}
	c.mirror.Leave("")
	select {
	case <-c.namespacesTold: // patterns need the list
	case <-ctx.Done():
		return ctx.Err()
	}
	c.log.Info("secrets can't be listed in the whole cluster; each granted namespace is watched by itself")
	return c.byNamespace(ctx, told)
}

// watcher is the watch of one namespace.
type watcher struct {
	stop  context.CancelFunc
	ended chan struct{}
	bell  chan struct{} // the namespace changed: a refusal may be over
	told  bool
}

// byNamespace keeps one watch for each namespace that matters.
func (c *connection) byNamespace(ctx context.Context, told func()) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	type word struct {
		namespace string
		err       error // nil: its first look is over
	}
	words := make(chan word)
	say := func(mine context.Context, w word) {
		select {
		case words <- w:
		case <-mine.Done():
		}
	}
	watchers := make(map[string]*watcher)
	c.mirror.KeepOnly(c.granted())
	first := true
	for {
		names := c.granted()
		for name, w := range watchers {
			if _, ok := slices.BinarySearch(names, name); !ok {
				w.stop()
				<-w.ended // what it is about to tell is not to be known after it was forgotten
				delete(watchers, name)
				c.mirror.Leave(name)
				continue
			}
			signal(w.bell)
		}
		for _, name := range names {
			if watchers[name] != nil {
				continue
			}
			mine, stop := context.WithCancel(ctx)
			w := &watcher{stop: stop, ended: make(chan struct{}), bell: make(chan struct{}, 1)}
			watchers[name] = w
			wg.Go(func() {
				defer close(w.ended)
				defer stop()
				if err := c.followNamespace(mine, name, w.bell, func() { say(mine, word{namespace: name}) }); mine.Err() == nil {
					say(mine, word{name, err})
				}
			})
		}
		for {
			if all := !slices.ContainsFunc(names, func(n string) bool { return !watchers[n].told }); first && all {
				if c.mirror.AllRefused(names) {
					return &refusal.Error{Kind: refusal.Forbidden, Message: mayNotList}
				}
				first = false
				told()
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case w := <-words:
				if w.err != nil {
					return w.err
				}
				if watchers[w.namespace] != nil {
					watchers[w.namespace].told = true
				}
				continue
			case <-c.scopeMoved:
			}
			break
		}
	}
}

// followNamespace follows one namespace, and waits where we may not list there.
func (c *connection) followNamespace(ctx context.Context, name string, bell <-chan struct{}, told func()) error {
	var refusals backoff
	for {
		err := c.followSecrets(ctx, name, func() { refusals = backoff{}; told() })
		if refusal.KindOf(err) != refusal.Forbidden {
			return err
		}
		if refusals.failures == 0 {
			c.log.Warn("secrets can't be listed in a namespace; allow get, list, watch, create, patch and delete on secrets there to our user", "namespace", name)
		}
		c.mirror.Refuse(name, fault.New(fault.Error, fault.ReasonForbidden,
			"the cluster does not let us list Secrets in namespace %s, or there is no such namespace; allow get, list, watch, create, patch and delete on secrets there to our user", name))
		told()
		timer := c.clock.NewTimer(refusals.next(250*time.Millisecond, c.config().interval()))
		select {
		case <-ctx.Done():
		case <-bell:
		case <-timer.C():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

const mayNotList = "the cluster lets us list Secrets neither everywhere nor in any granted namespace; allow get, list, watch, create, patch and delete on secrets to our user there"

// granted are the namespaces to be followed where we may not see all.
func (c *connection) granted() []string { return c.mirror.Granted(c.config().Namespaces) }
