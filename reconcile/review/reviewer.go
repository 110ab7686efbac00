package review

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/forge"
	"secretsync/reconcile/plan"
)

// Pulls are the pull requests of the tenant's repository and where they are
// answered, a *[forge.Client].
type Pulls interface {
	OpenPulls(ctx context.Context) ([]forge.Pull, error)
	SetPullStatus(ctx context.Context, p forge.Pull, s forge.Status) error
	Comment(ctx context.Context, number int, marker, markdown string) error
}

// Repository is the tenant's, a *[gitstore.Repository].
type Repository interface {
	Snapshot() *catalog.Snapshot
	FetchRef(ctx context.Context, ref string) (catalog.Revision, error)
	At(ctx context.Context, rev string) (*catalog.Snapshot, error)
	MergeBase(ctx context.Context, a, b catalog.Revision) (catalog.Revision, error)
}

// Planner says what a change does, a *[reconcile.Reconciler].
type Planner interface {
	Plan(ctx context.Context, tenant gitstore.TenantName, from, to definition.Set, look bool) (*plan.Plan, error)
}

// Context is what the status is called and the comment is known by.
const Context = "secretsync/plan"

const (
	// DefaultInterval is how often the forge is asked if it does not tell by
	// itself.
	DefaultInterval = time.Minute
	// mostARound is how many pull requests are looked at in one round.
	mostARound = 20
	// rest is between two rounds, however often something happens.
	rest = time.Second
	// roundTime bounds one round.
	roundTime = 5 * time.Minute
)

// Config says whose pull requests are checked, and by what.
type Config struct {
	Tenant     gitstore.TenantName
	Branch     string // that is followed: pull requests for others are left alone
	Pulls      Pulls
	Repository Repository
	Planner    Planner
	Interval   time.Duration    // between two looks at the forge; 0: DefaultInterval
	Clock      clock.WithTicker // nil: the machine's
	Log        *slog.Logger     // nil: nothing is logged
}

// Reviewer checks the pull requests of one tenant. Make one with [New], then Run it
// once.
type Reviewer struct {
	Config
	hint  chan struct{} // has room for one
	round chan struct{} // told after each round, if somebody listens; for tests
	state atomic.Int32  // of the last round; for whoever counts

	// Only Run uses these.
	reported map[int]report  // by number of pull request
	failed   map[int]failure // the same; of those that could not be looked at
	failing  string          // why the last round failed, as it was logged
}

// report is what was said of a pull request.
type report struct {
	head      string
	on        *catalog.Snapshot // what it was planned against
	commented bool              // there is a comment of ours
	text      string            // of it
	names     map[definition.Name]bool
	places    map[definition.Place]bool // that it claims, or lets go of
}

// failure is that a pull request could not be looked at. A head that is too large is
// fetched up to the bound each time that it is tried.
type failure struct {
	head  string
	count int       // in a row
	until time.Time // not again before
}

// mostPause is the longest pause after failures.
const mostPause = time.Hour

// note takes note of another failure, and returns after how long it is tried again.
func (f *failure) note(head string, now time.Time, interval time.Duration) {
	if f.head != head {
		*f = failure{head: head}
	}
	f.count++
	f.until = now.Add(min(interval<<min(f.count-1, 10), mostPause))
}

// stands reports whether what was said holds with other definitions on the branch:
// whether none of those that differ is one that the pull request touches, or claims
// a target that it does.
func (w *report) stands(on *catalog.Snapshot) bool {
	if w.on == nil {
		return false
	}
	for _, c := range catalog.Diff(w.on, on) {
		if w.names[c.Name] {
			return false
		}
		for _, e := range []*catalog.Entry{c.Old, c.New} {
			if e == nil {
				continue
			}
			for _, t := range e.Definition.Sync {
				if w.places[t.Place(c.Name)] {
					return false
				}
			}
		}
	}
	return true
}

// New makes a reviewer that does nothing yet.
func New(c Config) *Reviewer {
	if c.Interval <= 0 {
		c.Interval = DefaultInterval
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("tenant", c.Tenant.String())
	return &Reviewer{Config: c, hint: make(chan struct{}, 1), reported: make(map[int]report), failed: make(map[int]failure)}
}

// Hint has the forge asked soon: something happened to a pull request. It never
// waits.
func (r *Reviewer) Hint() {
	select {
	case r.hint <- struct{}{}:
	default:
	}
}

// Run checks pull requests until ctx ends.
func (r *Reviewer) Run(ctx context.Context) {
	for {
		pause := r.look(ctx)
		if r.round != nil {
			select {
			case r.round <- struct{}{}:
			case <-ctx.Done():
			}
		}
		// The clocks of many tenants don't strike together.
		timer := r.Clock.NewTimer(pause + rand.N(pause/4+1))
		soon := r.hint
		if pause > r.Interval {
			soon = nil // the forge asked to be left alone
		}
		select {
		case <-ctx.Done():
		case <-soon:
			timer.Stop()
			timer = r.Clock.NewTimer(rest)
			select {
			case <-timer.C():
			case <-ctx.Done():
			}
		case <-timer.C():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// look makes one round, and returns how long to wait before the next.
func (r *Reviewer) look(ctx context.Context) time.Duration {
	within, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	on := r.Repository.Snapshot()
	if !on.Read() {
		return r.Interval // nothing can be said yet, nor that all is well
	}
	left, err := r.reviewAll(within, on)
	if ctx.Err() != nil {
		return r.Interval
	}
	r.complain(err)
	if pause, throttled := forge.RetryAfter(err); throttled {
		return max(pause, r.Interval+1)
	}
	if left > 0 && err == nil {
		return rest
	}
	return r.Interval
}

// How the last round went.
const (
	unknown int32 = iota // there was none
	well                 // all that is open is checked, or will be in its turn
	failing              // the forge can't be asked or told, or a pull request can't be looked at
)

// complain logs why a round failed: once, till it is another cause, or none. A round that only
// left those alone whose turn to be tried again had not come is no sign that it is over.
func (r *Reviewer) complain(err error) {
	said := ""
	switch {
	case err != nil:
		said = err.Error()
	case len(r.failed) > 0:
		said = r.failing
	}
	if r.state.Store(well); said != "" {
		r.state.Store(failing)
	}
	if said != "" && said != r.failing {
		r.Log.Warn("pull requests are not checked; it is tried again", "error", said)
	} else if said == "" && r.failing != "" {
		r.Log.Info("pull requests are checked again")
	}
	r.failing = said
}

// reviewAll looks at the pull requests that are not reported as they are now, against the
// branch as it is, and returns how many were left for another round. What fails for one keeps no other
// waiting, unless it is the forge that fails.
func (r *Reviewer) reviewAll(ctx context.Context, on *catalog.Snapshot) (left int, err error) {
	pulls, err := r.Pulls.OpenPulls(ctx)
	if err != nil {
		return 0, err
	}
	open := make(map[int]bool, len(pulls))
	done := 0
	var failed error
	for _, p := range pulls {
		open[p.Number] = true
		was := r.reported[p.Number]
		if p.Base != r.Branch {
			delete(r.failed, p.Number)
			continue
		}
		if was.head == p.Head.Commit && was.stands(on) {
			was.on = on
			r.reported[p.Number] = was
			delete(r.failed, p.Number)
			continue
		}
		if f := r.failed[p.Number]; f.head == p.Head.Commit && r.Clock.Now().Before(f.until) {
			continue
		}
		if done++; done > mostARound {
			left++
			continue
		}
		err := r.review(ctx, p, on)
		if err == nil {
			delete(r.failed, p.Number)
		}
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, forge.ErrThrottled), errors.Is(err, forge.ErrUnavailable), errors.Is(err, forge.ErrDenied):
			return 0, err
		case err != nil:
			f := r.failed[p.Number]
			f.note(p.Head.Commit, r.Clock.Now(), r.Interval)
			r.failed[p.Number] = f
			failed = errors.Join(failed, err)
		}
	}
	for number := range r.reported {
		if !open[number] {
			delete(r.reported, number)
		}
	}
	for number := range r.failed {
		if !open[number] {
			delete(r.failed, number)
		}
	}
	return left, failed
}
