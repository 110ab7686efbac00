package kube

import (
	"context"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/fault"
)

// followCopies follows our Secrets: everywhere by one watch where the cluster
// lets us, else in each namespace that matters by one of its own. told is called
// when the first look at all of them is over.
func (c *connection) followCopies(ctx context.Context, told func()) error {
	allowed := false
	err := c.followSecrets(ctx, "", func() { allowed = true; told() })
	if kindOf(err) != Forbidden || allowed || len(c.config().Namespaces) == 0 {
		return err // what was allowed until now begins anew
	}
	c.leave("")
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
	stop context.CancelFunc
	bell chan struct{} // the namespace changed: a refusal may be over
	told bool
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
	say := func(w word) {
		select {
		case words <- w:
		case <-ctx.Done():
		}
	}
	watchers := make(map[string]*watcher)
	c.keepOnly(c.granted())
	first := true
	for {
		names := c.granted()
		for name, w := range watchers {
			if !slices.Contains(names, name) {
				w.stop()
				delete(watchers, name)
				c.leave(name)
				continue
			}
			signal(w.bell)
		}
		for _, name := range names {
			if watchers[name] != nil {
				continue
			}
			mine, stop := context.WithCancel(ctx)
			w := &watcher{stop: stop, bell: make(chan struct{}, 1)}
			watchers[name] = w
			wg.Go(func() {
				defer stop()
				if err := c.followNamespace(mine, name, w.bell, func() { say(word{namespace: name}) }); mine.Err() == nil {
					say(word{name, err})
				}
			})
		}
		for {
			if all := !slices.ContainsFunc(names, func(n string) bool { return !watchers[n].told }); first && all {
				if err := c.allRefused(names); err != nil {
					return err
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

// keepOnly forgets what was known, by an earlier and wider view, of other
// namespaces.
func (c *connection) keepOnly(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, ns := range c.namespaces {
		if !slices.Contains(names, name) {
			ns.copies = nil
		}
	}
}

// followNamespace follows one namespace, and waits where we may not list there.
func (c *connection) followNamespace(ctx context.Context, name string, bell <-chan struct{}, told func()) error {
	var refusals backoff
	for {
		err := c.followSecrets(ctx, name, func() { refusals = backoff{}; told() })
		if kindOf(err) != Forbidden {
			return err
		}
		if refusals.failures == 0 {
			c.log.Warn("secrets can't be listed in a namespace; allow get, list, watch, create, patch and delete on secrets there to our user", "namespace", name)
		}
		c.refuse(name, fault.New(fault.Error, fault.ReasonForbidden,
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

// allRefused returns an error if there is no namespace at all that we may list.
func (c *connection) allRefused(names []string) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, name := range names {
		if s := c.scopes[name]; s != nil && s.fault == nil {
			return nil
		}
	}
	if len(names) == 0 {
		return nil // none of them exists yet
	}
	return &Refused{Refusal: Forbidden, Message: mayNotList}
}

const mayNotList = "the cluster lets us list Secrets neither everywhere nor in any granted namespace; allow get, list, watch, create, patch and delete on secrets to our user there"

// granted returns the namespaces to be followed: those named, those that a
// pattern matches as far as we know of them, and those that were asked for.
func (c *connection) granted() []string {
	patterns := c.config().Namespaces
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make(map[string]bool)
	for _, pattern := range patterns {
		switch {
		case !strings.ContainsAny(pattern, `*?[\`):
			names[pattern] = true
		case c.seesNames:
			for name, ns := range c.namespaces {
				if ok, err := path.Match(pattern, name); ok && err == nil && ns.state != NamespaceMissing && !ofSystem(name) {
					names[name] = true
				}
			}
		}
	}
	for name := range c.wanted {
		if matches(patterns, name) {
			names[name] = true
		}
	}
	all := make([]string, 0, len(names))
	for name := range names {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { ok, err := path.Match(p, name); return ok && err == nil })
}

// ofSystem reports whether patterns don't mean this namespace.
func ofSystem(name string) bool {
	return name == metav1.NamespaceSystem || name == metav1.NamespacePublic || name == "kube-node-lease"
}
