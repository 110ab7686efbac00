package mirror

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/history"
	"secretsync/gitstore/internal/remote"
	"secretsync/gitstore/internal/telemetry"
	"secretsync/gitstore/internal/turns"
)

// Config says what a mirror is of, and what it works with.
type Config struct {
	Git     *gitdir.Repository
	Remote  *remote.Remote // is closed with the mirror
	Name    string         // of the remote: its URL, with nothing secret in it
	Branch  string         // that is followed, without refs/heads/
	Poll    time.Duration  // how often the remote is asked where it is
	Timeout time.Duration  // how long one exchange may take that moves little

	MaxBytes int64        // that the objects may take on disk
	Turns    *turns.Turns // for what may take long

	Clock     clock.Clock
	Log       *slog.Logger
	Tenant    string // whose it is
	Condition *condition.Condition
	Metrics   *telemetry.RepositoryMetrics
	Spans     *telemetry.Spans

	Cause func(error) string // why an exchange failed, in words for the tenant
	Told  func(Freshness)    // is told how the mirror stands whenever that is another
}

// Freshness says how a mirror stands to its remote.
type Freshness struct {
	Remote    string    // its name
	Fetched   time.Time // when, in UTC, the mirror was known to be what it holds last; zero: never
	Confirmed bool      // that was so since the mirror was begun
	Failing   error     // why that is not known now; nil: it is, as of Fetched
}

// Mirror is what is known of the remote that a folder is a mirror of. It is for the
// goroutine of the repository, but for [Mirror.FetchBeside].
type Mirror struct {
	cfg       Config
	mark      Mark // of the folder
	freshness Freshness

	// ctx ends when the remote is given up; users are who fetch beside the
	// goroutine, one at a time.
	ctx    context.Context
	cancel context.CancelFunc
	users  sync.WaitGroup
	beside chan struct{}

	next     time.Time // when it is asked again, unless something happens
	fetched  time.Time // when the mirror was known to be what it holds; zero: never
	fault    error     // why that isn't known now
	slow     time.Time // not asked before, since the last attempt took that long
	pauses   wait.Backoff
	refused  refusedHead
	doubted  bool        // the mirror lacks objects: all are fetched anew
	mended   time.Time   // when that was begun last
	receded  object.Hash // an older commit that the last fetch told of, not believed yet
	unproven object.Hash // a commit of ours of which nobody knows whether it landed

	another, renewed bool // see News
}

// New begins to follow a remote, which is to be asked at once. The mark is what is in
// the folder.
func New(cfg Config, known Mark) *Mirror {
	m := &Mirror{cfg: cfg, mark: known, next: cfg.Clock.Now(), pauses: condition.Pauses(cfg.Poll), beside: make(chan struct{}, 1)}
	if m.known() {
		m.fetched = known.Fetched
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.tell(Freshness{Remote: cfg.Name, Fetched: m.fetched, Failing: errNotFetched})
	cfg.Metrics.Remote(m.fetched)
	return m
}

// Close gives the remote up, and waits for who fetches beside.
func (m *Mirror) Close() {
	m.cancel()
	m.users.Wait()
	m.cfg.Remote.Close()
	m.cfg.Condition.SetProblems(condition.RemoteProblem)
}

func (m *Mirror) tell(f Freshness) {
	m.freshness = f
	m.cfg.Told(f)
}

// ref is the branch that is followed, in full.
func (m *Mirror) ref() string { return refs.BranchFolder + m.cfg.Branch }

// Name is the URL of the remote, with nothing secret in it.
func (m *Mirror) Name() string { return m.cfg.Name }

// Timeout is how long one exchange may take that moves little.
func (m *Mirror) Timeout() time.Duration { return m.cfg.Timeout }

// Fault is why it isn't known now whether the mirror is what the remote holds; nil: it
// is, or the remote was not asked yet.
func (m *Mirror) Fault() error { return m.fault }

// InStep reports whether the mirror is what the remote held when it was asked last, and what was pushed
// since: it was asked, that went well, and what became of every push is known.
func (m *Mirror) InStep() bool { return m.freshness.Confirmed && m.fault == nil && m.unproven.IsZero() }

// Next is when the remote is to be asked, unless something happens.
func (m *Mirror) Next() time.Time { return m.next }

// AskSoon has the remote asked as soon as that is looked at.
func (m *Mirror) AskSoon() { m.next = m.cfg.Clock.Now() }

// NoBranch returns nil if the remote is known to have no branch at all, so that having
// no commit is right; else why the mirror has none yet.
func (m *Mirror) NoBranch() error {
	switch {
	case m.known() && m.mark.Empty:
		return nil
	case m.fault != nil:
		return fmt.Errorf("the remote repository was not fetched yet: %w", m.fault)
	}
	return errNotFetched
}

// News tells, once, what was brought since it was asked last: the branch of another
// remote than before, whose history says nothing of this one's; all objects anew.
func (m *Mirror) News() (another, renewed bool) {
	another, renewed = m.another, m.renewed
	m.another, m.renewed = false, false
	return another, renewed
}

// Doubt has the mirror, whose objects are damaged or missing, fetched anew as a whole;
// not again before a pause.
func (m *Mirror) Doubt(err error) {
	if m.doubted || m.cfg.Clock.Since(m.mended) < pauseOfDoubt {
		return
	}
	m.doubted, m.mended = true, m.cfg.Clock.Now()
	m.next = m.mended
	m.cfg.Log.Warn("the mirror lacks objects or they are damaged; it is fetched anew", "tenant", m.cfg.Tenant, "remote", m.cfg.Name, "error", err)
}

// pauseOfDoubt is the shortest pause between two times that all is fetched anew.
const pauseOfDoubt = time.Minute

// refusedHead is a commit that could not be taken in. To try again would cost as
// much.
type refusedHead struct {
	head   object.Hash
	err    error
	until  time.Time
	pauses wait.Backoff
}

// mostPauseOfRefused is the longest pause between attempts to take a commit in.
const mostPauseOfRefused = time.Hour

// errNotFetched is the state of a mirror that was not compared with its remote
// yet.
var errNotFetched = fmt.Errorf("%w: %w: the remote repository is being asked", failure.ErrUnavailable, failure.ErrOpening)

// known reports whether the folder is marked as a mirror of this remote's branch.
func (m *Mirror) known() bool { return m.mark.URL == m.cfg.Name && m.mark.Branch == m.cfg.Branch }

// commits are those of the mirror, for a task that lets others have their turn.
func (m *Mirror) commits(ctx context.Context, turn *turns.Turn) *history.Commits {
	return history.Of(ctx, turn, m.cfg.Git, budget.PerAnswer)
}

// later says when the remote is asked next. Those of many tenants are spread.
func (m *Mirror) later(now time.Time) {
	spread := 0.9 + 0.2*rand.Float64()
	if m.fetched.IsZero() {
		spread = rand.Float64() // the first time: all began at once
	}
	m.next = now.Add(time.Duration(spread * float64(m.cfg.Poll)))
}
