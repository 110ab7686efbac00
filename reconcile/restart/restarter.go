package restart

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/kube/refusal"
)

const (
	// together is how long it is waited for further copies of a workload to change.
	together = 2 * time.Second
	// workers is how many workloads are marked at once.
	workers    = 4
	firstPause = time.Second
	mostPause  = 5 * time.Minute
)

// Cluster is where workloads are read and marked; a [kube.Cluster] is one.
type Cluster interface {
	Workload(context.Context, kube.Workload) (*kube.Marks, error)
	Mark(ctx context.Context, w kube.Workload, read *kube.Marks, own, template map[string]string) error
}

// Restarter restarts workloads. Make one with [New], then Run it once.
type Restarter struct {
	clock clock.WithTicker
	log   *slog.Logger
	done  func() // a standing changed
	queue workqueue.TypedRateLimitingInterface[key]

	mu        sync.Mutex
	workloads map[key]*workload
}

// key is a workload of one physical cluster.
type key struct {
	cluster string // its identity
	kube.Workload
}

// workload is one that some target's list names.
type workload struct {
	cluster  Cluster
	name     string        // of the cluster, for the log
	interval time.Duration // after which a missing one is looked for again
	copies   map[string]*use
}

// use is one copy as a workload uses it.
type use struct {
	copied
	by    map[any]bool // the targets that ask for it
	stand Standing
	noted bool // the workload bears the hash
}

// State is how a restart stands.
type State string

// The states.
const (
	// Waiting: the workload's pods are to be looked at, or started anew, in a moment.
	Waiting State = "Waiting"
	// Current: its pods were started with what the copy holds, or will be.
	Current State = "Current"
	// Failed: it can't be restarted, and Message says why.
	Failed State = "Failed"
)

// Standing is how a workload stands to one copy.
type Standing struct {
	State     State
	Message   string    // of Failed, for people
	Restarted time.Time // when it was last restarted for this copy, by this process; zero: not
}

// Copy is one copy that stands right.
type Copy struct {
	Identity  string // of its cluster
	Cluster   Cluster
	Name      string // of the cluster, for the log
	Namespace string
	Secret    string
	Hash      string        // of its data
	Interval  time.Duration // after which a missing workload is looked for again
}

// New makes a restarter. changed is called when a standing may be another; it
// must not block.
func New(c clock.WithTicker, log *slog.Logger, changed func()) *Restarter {
	return &Restarter{
		clock: c, log: log, done: changed, workloads: make(map[key]*workload),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[key](firstPause, mostPause),
			workqueue.TypedRateLimitingQueueConfig[key]{Clock: c}),
	}
}

// Run works until ctx ends, and returns when everything it started has ended.
func (r *Restarter) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, r.queue.ShutDown)
	defer stop()
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for {
				k, ended := r.queue.Get()
				if ended {
					return
				}
				r.pass(ctx, k)
				r.queue.Done(k)
			}
		})
	}
	group.Wait()
}

// Stands tells that a copy stands right, for the workloads of a target's list,
// which are named as kind/name. by is the target. What was told before costs
// nothing.
func (r *Restarter) Stands(by any, c Copy, workloads []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range workloads {
		k, ok := keyOf(c, name)
		if !ok {
			continue
		}
		w := r.workloads[k]
		if w == nil {
			w = &workload{copies: make(map[string]*use)}
			r.workloads[k] = w
		}
		w.cluster, w.name, w.interval = c.Cluster, c.Name, c.Interval
		u := w.copies[c.Secret]
		switch {
		case u == nil:
			u = &use{copied: copied{hash: c.Hash}, by: make(map[any]bool), stand: Standing{State: Waiting}}
			w.copies[c.Secret] = u
			r.queue.AddAfter(k, together)
		case u.hash != c.Hash:
			u.copied = copied{hash: c.Hash, changed: r.clock.Now()}
			u.noted, u.stand.State, u.stand.Message = false, Waiting, ""
			r.queue.AddAfter(k, together)
		}
		u.by[by] = true
	}
}

// Forget tells that a target asks for no restart any more. What stands on
// workloads stays there.
func (r *Restarter) Forget(by any, identity, namespace, secret string, workloads []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range workloads {
		k, ok := keyOf(Copy{Identity: identity, Namespace: namespace}, name)
		w := r.workloads[k]
		if !ok || w == nil || w.copies[secret] == nil {
			continue
		}
		delete(w.copies[secret].by, by)
		if len(w.copies[secret].by) == 0 {
			delete(w.copies, secret)
		}
		if len(w.copies) == 0 {
			delete(r.workloads, k)
		}
	}
}

func keyOf(c Copy, name string) (key, bool) {
	kind, rest, ok := strings.Cut(name, "/")
	return key{c.Identity, kube.Workload{Kind: kind, Namespace: c.Namespace, Name: rest}}, ok
}

// Standing tells how a workload stands to a copy; false where nothing was told of
// that copy yet.
func (r *Restarter) Standing(identity, namespace, secret, name string) (Standing, bool) {
	k, ok := keyOf(Copy{Identity: identity, Namespace: namespace}, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.workloads[k]
	if !ok || w == nil || w.copies[secret] == nil {
		return Standing{}, false
	}
	return w.copies[secret].stand, true
}

// pass looks at one workload and marks it.
func (r *Restarter) pass(ctx context.Context, k key) {
	w, copies := r.wanted(k)
	if len(copies) == 0 {
		r.queue.Forget(k)
		return
	}
	m, err := r.mark(ctx, k, w.cluster, copies)
	if ctx.Err() != nil {
		return
	}
	r.note(k, copies, m, err)
	r.done()
	switch refusal.KindOf(err) {
	case refusal.None:
		r.queue.Forget(k)
		if len(m.template) > 0 {
			r.log.Info("workload restarted", "cluster", w.name, "namespace", k.Namespace, "workload", k.Workload.String(), "secrets", secretsOf(copies, m.template))
		}
	case refusal.Unavailable, refusal.Unauthorized, refusal.Throttled, refusal.Conflict, refusal.AdmissionFailed:
		r.queue.AddRateLimited(k)
	default:
		r.queue.Forget(k)
		r.queue.AddAfter(k, w.interval) // a person has to act
	}
}

// wanted are the copies for which a workload is to be looked at.
func (r *Restarter) wanted(k key) (workload, map[string]copied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.workloads[k]
	if w == nil {
		return workload{}, nil
	}
	copies := make(map[string]copied)
	for secret, u := range w.copies {
		if !u.noted {
			copies[secret] = u.copied
		}
	}
	return *w, copies
}

func (r *Restarter) mark(ctx context.Context, k key, cluster Cluster, copies map[string]copied) (marks, error) {
	read, err := cluster.Workload(ctx, k.Workload)
	if err != nil {
		return marks{}, err
	}
	m := plan(read.Created, read.Annotations, copies)
	if len(m.own) == 0 {
		return m, nil
	}
	return m, cluster.Mark(ctx, k.Workload, read, m.own, m.template)
}

// note keeps how a look at a workload ended, for the copies it was for.
func (r *Restarter) note(k key, copies map[string]copied, m marks, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.workloads[k]
	if w == nil {
		return
	}
	for secret, was := range copies {
		u := w.copies[secret]
		if u == nil || u.hash != was.hash {
			continue // it changed again meanwhile, and comes again
		}
		if err != nil {
			u.stand.State, u.stand.Message = Failed, fault.Clean("workload "+k.Workload.String()+" is not restarted: "+err.Error())
			continue
		}
		u.noted, u.stand.State, u.stand.Message = true, Current, ""
		if _, restarted := m.template[Annotation(secret)]; restarted {
			u.stand.Restarted = r.clock.Now()
		}
	}
}

// secretsOf names the Secrets whose annotations are among those set.
func secretsOf(copies map[string]copied, set map[string]string) string {
	var names []string
	for secret := range copies {
		if _, ok := set[Annotation(secret)]; ok {
			names = append(names, secret)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
