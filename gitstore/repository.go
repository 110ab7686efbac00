package gitstore

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"k8s.io/utils/clock"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/draft"
	"secretsync/gitstore/internal/dropped"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/index"
	"secretsync/gitstore/internal/lineage"
	"secretsync/gitstore/internal/message"
	"secretsync/gitstore/internal/mirror"
	"secretsync/gitstore/internal/shown"
	"secretsync/gitstore/internal/telemetry"
	"secretsync/gitstore/internal/trust"
	"secretsync/gitstore/sleeper"
)

// Repository is one tenant's repository. Its methods may be called from any
// number of goroutines.
type Repository struct {
	store          *Store
	tenant         TenantName
	dir            string
	committer      message.Identity
	maxDefinitions int
	pollInterval   time.Duration
	maxMirror      int64

	clock   clock.Clock
	log     *slog.Logger
	slots   chan struct{} // for rounds of maintenance, shared by the whole store
	metrics *telemetry.RepositoryMetrics
	spans   *telemetry.Spans

	// ctx ends, by cancel and for the cause that this gives, when the repository
	// is to be closed; done is closed when all its work has ended. What failed in
	// closing it is in failed, then, and where it left the branch in left.
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}
	failed error
	left   *catalog.Revision // nil: that is not sure
	calls  calls
	// turns is when the repository is worked for; background is what goes on beside that.
	turns      *sleeper.Sleeper
	background sync.WaitGroup

	// git is there once open is closed. tried is closed when it was attempted for
	// the first time.
	git   *gitdir.Repository
	open  chan struct{}
	tried chan struct{}
	asked chan struct{} // closed when the remote was asked for the first time; see Asked

	lineage *lineage.Lineage // there once open is closed

	queue   *queue
	tasks   chan *task    // what is to be done in turn, see inTurn; has room for one
	changed chan struct{} // has room for one signal: look at the branch
	hinted  chan struct{} // has room for one signal: ask the remote, too
	shown   *shown.Shown
	wanted  atomic.Pointer[Settings] // by Configure; see reconfigure

	freshness atomic.Pointer[Freshness]
	current   atomic.Bool // see Current

	condition *condition.Condition
	withheld  atomic.Pointer[Withheld]

	// Only who opens it and whose turn it is use these.
	state   *index.State
	tip     object.Hash // where the branch is; not in force, perhaps: see trust
	trust   trust.Trust
	claims  *draft.Claims
	builder *pack.Builder
	cached  object.Hash // the head of the state that was written to disk last
	quiet   object.Hash // the head at the last look
	due     time.Time   // when to look next
	watched bool        // its folders are, all of them
	calm    bool        // nothing moved between the last two looks, and the system tells of what does
	stuck   stuck
	seen    bool // something was there where the repository is to be
	refused refusal
	mirror  *mirror.Mirror // nil: the repository is none

	settings   Settings // that are in force
	switched   bool     // another branch is followed than state is of
	pushesTold bool     // Git knows which pushes to refuse
	drops      *dropped.Memory
}

// Tenant returns the tenant the repository belongs to.
func (r *Repository) Tenant() TenantName { return r.tenant }

// Created returns the time, in UTC, when the repository was made; zero while it
// is not open.
func (r *Repository) Created() time.Time {
	if !r.isOpen() {
		return time.Time{}
	}
	return r.git.Created()
}

// Snapshot returns what stands at HEAD, as far as it was noticed and could be
// read; see [catalog.Snapshot.Read] and [Repository.Healthy]. It takes no lock and never waits.
func (r *Repository) Snapshot() *catalog.Snapshot { return r.shown.Snapshot() }

// Wait returns the current snapshot as soon as that is not after, which may be
// nil. It fails with ctx's error, or with [ErrUnavailable] once the repository
// is closed.
func (r *Repository) Wait(ctx context.Context, after *catalog.Snapshot) (*catalog.Snapshot, error) {
	return r.shown.Wait(ctx, after)
}

// Notify has changed called whenever a newer snapshot stands, till stop is called: for
// who would otherwise keep a goroutine in [Repository.Wait] for each of thousands of
// repositories. It must not block, and may be called once more while stop is under way.
func (r *Repository) Notify(changed func()) (stop func()) { return r.shown.Notify(changed) }

// Trace returns the span that made a commit, or fetched it, if that was among the last
// few; what is done because of the commit belongs to its trace. It is zero for others.
func (r *Repository) Trace(commit string) trace.SpanContext { return r.spans.Of(commit) }

func (r *Repository) since(t time.Time) time.Duration { return r.clock.Since(t) }
