package report

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/durable"
	"secretsync/gitstore/forge"
	"secretsync/reconcile/live"
	"secretsync/reconcile/sweep"
)

// Forge takes the status of a commit; it is a *[forge.Client].
type Forge interface {
	SetStatus(ctx context.Context, commit string, s forge.Status) error
}

// Repository is a tenant's repository, a *[gitstore.Repository].
type Repository interface {
	live.Repository
	Line(ctx context.Context, at *catalog.Snapshot, since catalog.Revision, most int) ([]catalog.Revision, error)
	UpdateRef(ctx context.Context, ref string, change func(at gitstore.RefTip) (*gitstore.RefCommit, error)) (catalog.Revision, error)
	Freshness() gitstore.Freshness
	Withheld() *gitstore.Withheld
}

// Source tells what is at work for a tenant, how it stands, and which copies are
// held that would be deleted. It is a *[reconcile.Reconciler].
type Source interface {
	live.Source
	// Weighed reports whether Deletions are known by now of all that was taken in.
	Weighed(gitstore.TenantName) bool
	Deletions(gitstore.TenantName) sweep.Deletions
}

// Tenant says where it is told what became live of one tenant.
type Tenant struct {
	Name       gitstore.TenantName
	Repository Repository
	Forge      Forge // nil: no statuses. It must be comparable: another one begins anew.
	Receipts   bool
}

// Config is what a [Reporter] needs.
type Config struct {
	Source Source
	// Dir is the folder for what was told; it is made. What is in it may be
	// deleted.
	Dir string
	// PublicURL is how people reach the API, without a slash at its end; statuses
	// link to it. Empty: they have no link.
	PublicURL string
	// Server is by which name receipts call the server. Empty: the host of
	// PublicURL, or that of the machine.
	Server  string
	Clock   clock.WithTicker      // nil: the machine's
	Log     *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: nowhere

	pace pace // for tests
}

// pace is how fast a reporter is.
type pace struct {
	look    time.Duration // between two looks at a tenant's commits, at least
	moment  time.Duration // a commit may take to be live before it is told to be pending
	settle  time.Duration // something must fail before that is told
	repeat  time.Duration // after the first status of a commit before the second; it doubles
	retry   time.Duration // after the first failure of a forge or a remote; it doubles
	receipt time.Duration // between two writes of notes here
	remote  time.Duration // the same where they are pushed to a remote
}

const (
	settle = 10 * time.Second
	// mostRepeat and mostRetry are the longest of the growing pauses.
	mostRepeat = 10 * time.Minute
	mostRetry  = 5 * time.Minute
)

var usualPace = pace{
	look: 100 * time.Millisecond, moment: 300 * time.Millisecond, settle: settle, repeat: time.Second,
	retry: time.Second, receipt: time.Second, remote: 10 * time.Second,
}

// Reporter tells for any number of tenants.
type Reporter struct {
	cfg     Config
	metrics *metrics

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before
	wg      sync.WaitGroup  // everything that runs
	tenants map[gitstore.TenantName]*telling
}

// telling is one tenant with what runs for it.
type telling struct {
	Tenant
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New makes a Reporter that tells nothing until it is Run.
func New(cfg Config) (*Reporter, error) {
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.pace == (pace{}) {
		cfg.pace = usualPace
	}
	cfg.Server = serverName(cfg)
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	return &Reporter{cfg: cfg, metrics: m, tenants: make(map[gitstore.TenantName]*telling)}, nil
}

// Reconfigure has these tenants told of, and no others. What is the same as before
// is not disturbed. When it returns nothing runs any more for those that left.
func (r *Reporter) Reconfigure(tenants []Tenant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted := make(map[gitstore.TenantName]Tenant)
	for _, t := range tenants {
		if t.Forge != nil || t.Receipts {
			wanted[t.Name] = t
		}
	}
	var ended []*telling
	for name, t := range r.tenants {
		if wanted[name] != t.Tenant {
			t.end()
			ended = append(ended, t)
			delete(r.tenants, name)
		}
	}
	for _, t := range ended {
		t.running.Wait()
		if _, ok := wanted[t.Name]; !ok {
			r.metrics.forget(t.Name)
		}
	}
	for name, t := range wanted {
		if r.tenants[name] == nil {
			r.tenants[name] = &telling{Tenant: t}
			r.start(r.tenants[name])
		}
	}
}

// Run tells until ctx ends, and returns when everything it started has ended.
func (r *Reporter) Run(ctx context.Context) error {
	r.mu.Lock()
	if r.ctx != nil {
		r.mu.Unlock()
		return errors.New("the reporter was run before; make another")
	}
	r.ctx = ctx
	for _, t := range r.tenants {
		r.start(t)
	}
	r.mu.Unlock()
	<-ctx.Done()
	// Whoever reconfigures now sees that it has ended, and starts nothing.
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wg.Wait()
	return nil
}

// start begins to tell of a tenant. r.mu is held.
func (r *Reporter) start(t *telling) {
	if r.ctx == nil || r.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.ctx)
	t.stop = cancel
	run := func(do func(context.Context)) {
		r.wg.Add(1)
		t.running.Go(func() {
			defer r.wg.Done()
			do(ctx)
		})
	}
	if t.Forge != nil {
		run(newStatuses(r, t.Tenant).run)
	}
	if t.Receipts {
		run(newReceipts(r, t.Tenant).run)
	}
}

func (t *telling) end() {
	if t.stop != nil {
		t.stop()
	}
}

// looks calls look whenever something may have changed for a tenant, and again
// after the time that look returns, till ctx ends. Zero: no time. In waited look counts for
// how long it waited for a forge or a remote.
func (r *Reporter) looks(ctx context.Context, tenant gitstore.TenantName, look func(ctx context.Context) time.Duration, waited *time.Duration) {
	timer := r.cfg.Clock.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := r.cfg.Source.Changed(tenant) // before looking, so that nothing is missed
		begun := r.cfg.Clock.Now()
		*waited = 0
		again := look(ctx)
		took := r.cfg.Clock.Since(begun) - *waited
		var due <-chan time.Time
		if again > 0 {
			timer.Reset(again)
			due = timer.C()
		}
		select {
		case <-changed:
		case <-due:
		case <-ctx.Done():
			return
		}
		// Of many changes one after the other not each is looked at, and looking
		// takes a tenth of the time at most.
		timer.Reset(max(r.cfg.pace.look, 10*took))
		select {
		case <-timer.C():
		case <-ctx.Done():
		}
	}
}

// memoryOf is the file with what was told of a tenant.
func (r *Reporter) memoryOf(tenant gitstore.TenantName, what kind) string {
	return filepath.Join(r.cfg.Dir, tenant.String()+"."+string(what)+".json")
}

// mostMemory bounds what is read of such a file.
const mostMemory = 1 << 20

// recall reads what was told; nothing if that is not known.
func (r *Reporter) recall(tenant gitstore.TenantName, what kind) []byte {
	path := r.memoryOf(tenant, what)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var content []byte
	if err == nil && info.Size() <= mostMemory {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		r.cfg.Log.Warn("what was reported is not known any more; the newest commit is reported anew", "tenant", tenant.String(), "error", err)
	}
	return content
}

// remember keeps what was told. Without it something is told twice after a
// restart, and nothing worse.
func (r *Reporter) remember(tenant gitstore.TenantName, what kind, content []byte) {
	err := durable.MkdirAll(r.cfg.Dir)
	if err == nil {
		err = durable.Replace(r.memoryOf(tenant, what), content)
	}
	if err != nil {
		r.cfg.Log.Warn("what was reported will not be known after a restart", "tenant", tenant.String(), "error", err)
	}
}
