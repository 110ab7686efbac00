package gitstore

import (
	"cmp"
	"context"
	"time"

	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/mirror"
	"secretsync/gitstore/internal/remote"
)

// Freshness says how a repository stands to the remote that it is a mirror of.
type Freshness struct {
	// Remote is the URL of the remote, with nothing secret in it. Empty: there is
	// none, and what is here is the truth.
	Remote string
	// Fetched is when, in UTC, the mirror was known to be what the remote holds
	// last. It is kept from one process to the next, to some minutes. Zero: never.
	Fetched time.Time
	// Confirmed: that was so since this process began to use that remote. Till
	// then the snapshot may be one of long ago, and what it lacks says nothing.
	Confirmed bool
	// Failing is why that is not known now, nil: it is, as of Fetched. [Cause]
	// puts it into words for the tenant.
	Failing error
}

// Freshness tells how old what [Repository.Snapshot] shows may be. It never waits.
func (r *Repository) Freshness() Freshness {
	f := r.freshness.Load()
	if f == nil {
		return Freshness{}
	}
	return *f
}

// Current reports whether [Repository.Snapshot] shows what the remote said when it was asked last,
// as far as that can be read, and the remote answers; without one it is so once the repository is
// open. [Freshness.Confirmed] is ahead of it while what was fetched is being read. It never waits.
func (r *Repository) Current() bool { return r.current.Load() }

// Hint says that the branch may have moved, as a webhook tells: it is looked at
// now, at the remote if there is one. Hints that come while it is being looked at
// become one. It never waits.
func (r *Repository) Hint() {
	select {
	case r.hinted <- struct{}{}:
	default:
	}
	r.turns.Wake()
}

// attach has the remote that is in force be the one that the settings name, or none.
func (r *Repository) attach(wanted Remote) error {
	known, err := mirror.ReadMark(r.git)
	if err != nil {
		return err
	}
	r.detach()
	if wanted.IsZero() {
		if known != (mirror.Mark{}) {
			r.log.Info("the repository is no mirror any more", "tenant", r.tenant.s, "remote", known.URL)
		}
		r.freshness.Store(&Freshness{})
		return mirror.WriteMark(r.git, mirror.Mark{})
	}
	r.mirror = mirror.New(mirror.Config{
		Git: r.git, Remote: remote.New(*wanted.endpoint, r.store.hosts), Name: wanted.String(), Branch: r.settings.Branch.s,
		Poll: wanted.poll, Timeout: cmp.Or(wanted.settings.Timeout, 30*time.Second), MaxBytes: r.maxMirror, Turns: r.store.follows,
		Clock: r.clock, Log: r.log, Tenant: r.tenant.s, Condition: r.condition, Metrics: r.metrics, Spans: r.spans,
		Cause: Cause, Told: func(f mirror.Freshness) { r.freshness.Store((*Freshness)(&f)) },
	}, known)
	return nil
}

// detach gives the remote up.
func (r *Repository) detach() {
	if r.mirror == nil {
		return
	}
	r.mirror.Close()
	r.mirror = nil
	r.metrics.ForgetRemote()
}

// fetchDue asks the remote where its branch is when it is time for it, or again says so.
func (r *Repository) fetchDue(ctx context.Context, again bool) {
	if m := r.mirror; m != nil && (again || !r.clock.Now().Before(m.Next())) {
		_ = m.Fetch(ctx) // kept as its fault
		r.heed()
	}
}

// heed takes note of what an exchange brought.
func (r *Repository) heed() {
	another, renewed := r.mirror.News()
	r.switched = r.switched || another
	if renewed {
		r.stuck = stuck{}
	}
}

// catchUp brings the settings, the mirror and the state to what holds now, as every
// write begins. The session is for one push of the branch or of references that
// begin with the prefixes; nil: the repository is no mirror. [refs.ErrMoved] says
// that the settings changed meanwhile.
func (r *Repository) catchUp(ctx context.Context, prefixes ...string) (session *remote.Session, err error) {
	if err := r.reconfigure(ctx); err != nil {
		return nil, err
	}
	asked := r.mirror
	if asked != nil {
		session, err = asked.OpenPush(ctx, prefixes...)
		r.heed()
		if err != nil {
			return nil, err
		}
	}
	err = r.follow(ctx, false)
	if err == nil && r.mirror != asked {
		err = refs.ErrMoved // the session is for another branch, or another remote
	}
	if err != nil && session != nil {
		session.Close()
		session = nil
	}
	return session, err
}
