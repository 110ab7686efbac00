package gitstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/remote"
)

// A tenant's repository may be a remote one. The folder then is a mirror of it:
// it looks as any repository does, is read as any, and outlives a restart, but the
// remote is the truth and says where the branch is. What the mirror knows of it:
//
//	state     since                             Snapshot      writes     Freshness
//	--------  --------------------------------  ------------  ---------  -----------------
//	unknown   the folder is new, or follows     not read, or  refused    never fetched
//	          another branch or URL             as it was
//	current   what was fetched, or pushed last  as fetched    pushed     as of Fetched
//	aged      an exchange failed                as it was     tried,     Failing says why
//	                                                          refused
//	bereft    the branch, or all, is gone from  as it was     refused    Failing says so;
//	          the remote                                                 a problem
//	foreign   the folder has commits of its     as it was     refused    Failing says so;
//	          own that the remote has not                                a problem
//
//	           fetched            an exchange fails
//	unknown ───────────► current ◄─────────────────► aged
//	   ▲                  │    ▲    the next does not
//	   │ another URL      │    │ it is back (pushed by somebody, or made anew)
//	   └──────────────────┤    │
//	     or branch        └──► bereft
//
// Bereft is not empty: who deletes a branch, or a repository, takes no definition
// out of force. A branch that is moved by force, though, is where it is: that is
// the truth, and what was dropped is told.

// RemoteSettings say where a remote repository is and how it is reached; see
// [ParseRemote].
type RemoteSettings = remote.Settings

// GitHubApp is an installation of a GitHub App, which lets a server in instead of
// a person's password.
type GitHubApp = remote.App

// Remote is where a tenant's repository is, if that is not the folder. Only
// [ParseRemote] makes one; the zero Remote is none.
type Remote struct {
	settings RemoteSettings
	endpoint *remote.Endpoint
	poll     time.Duration
}

// defaultRemotePoll is how often a remote is asked for its branch.
const defaultRemotePoll = 30 * time.Second

// ParseRemote checks settings, and reads no file yet: those that it names are read
// when they are needed, and again when they change. Poll is how often the remote
// is asked where its branch is, besides by [Repository.Hint]; zero: 30 seconds. An
// error names the setting and shows nothing that may be secret.
func ParseRemote(settings RemoteSettings, poll time.Duration) (Remote, error) {
	endpoint, err := remote.ParseEndpoint(settings)
	if err != nil {
		return Remote{}, err
	}
	return Remote{settings: settings, endpoint: &endpoint, poll: cmp.Or(poll, defaultRemotePoll)}, nil
}

// IsZero reports whether there is no remote.
func (r Remote) IsZero() bool { return r.endpoint == nil }

// String returns the URL with nothing secret in it; nothing for none.
func (r Remote) String() string {
	if r.IsZero() {
		return ""
	}
	return r.endpoint.String()
}

// Equal reports whether two are reached alike.
func (r Remote) Equal(o Remote) bool { return r.settings == o.settings && r.poll == o.poll }

// timeout is how long one exchange may take that moves little.
func (r Remote) timeout() time.Duration { return cmp.Or(r.settings.Timeout, 30*time.Second) }

// origin is the remote that a repository is a mirror of, as the goroutine of the
// repository knows it.
type origin struct {
	of     Remote
	remote *remote.Remote
	mark   mark // of the folder

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
}

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

// A mark in the folder says of which remote it is a mirror. A folder without it is
// a repository of its own.
type mark struct {
	URL     string    `json:"url"`
	Branch  string    `json:"branch"`
	Fetched time.Time `json:"fetched"`
	// Empty: the remote had no branch at all, so that having no commit is right.
	Empty bool `json:"empty,omitempty"`
}

const (
	markFile = "mirror"
	// markedAnew is how old the time in the mark may be: it is only shown.
	markedAnew = 5 * time.Minute
)

func (r *Repository) readMark() (m mark, err error) {
	content, err := r.git.ReadOwn(markFile, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	} else if err != nil {
		return m, err
	}
	if json.Unmarshal(content, &m) != nil || m.URL == "" {
		// Torn by a power cut: that it is there says that this is a mirror.
		m = mark{URL: "?"}
	}
	return m, nil
}

// writeMark says in the folder what it is a mirror of. A zero one says that it is
// none.
func (r *Repository) writeMark(m mark) error {
	if m == (mark{}) {
		return r.git.RemoveOwn(markFile)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return r.git.WriteOwn(markFile, text)
}

// attach has the remote that is in force be the one that the settings name, or
// none.
func (r *Repository) attach(wanted Remote) error {
	known, err := r.readMark()
	if err != nil {
		return err
	}
	r.detach()
	if wanted.IsZero() {
		if known != (mark{}) {
			r.log.Info("the repository is no mirror any more", "tenant", r.tenant.s, "remote", known.URL)
		}
		r.freshness.Store(&Freshness{})
		return r.writeMark(mark{})
	}
	o := &origin{of: wanted, remote: remote.New(*wanted.endpoint, r.store.hosts), mark: known, next: r.clock.Now()}
	if known.URL == wanted.String() && known.Branch == r.settings.Branch.s {
		o.fetched = known.Fetched
	}
	o.pauses, o.beside = pauses(wanted.poll), make(chan struct{}, 1)
	o.ctx, o.cancel = context.WithCancel(context.Background())
	r.origin = o
	r.freshness.Store(&Freshness{Remote: wanted.String(), Fetched: o.fetched, Failing: errNotFetched})
	r.metrics.remote(o.fetched)
	return nil
}

// detach gives the remote up.
func (r *Repository) detach() {
	if r.origin == nil {
		return
	}
	r.origin.cancel()
	r.origin.users.Wait()
	r.origin.remote.Close()
	r.origin = nil
	r.problems.set(r, remoteProblem)
	r.store.metrics.forgetRemote(r.tenant)
}

// errNotFetched is the state of a mirror that was not compared with its remote
// yet.
var errNotFetched = fmt.Errorf("%w: %w: the remote repository is being asked", ErrUnavailable, ErrOpening)

// known reports whether the folder is marked as a mirror of this remote's branch.
func (o *origin) known(branch BranchName) bool {
	return o.mark.URL == o.of.String() && o.mark.Branch == branch.s
}

// later says when the remote is asked next. Those of many tenants are spread.
func (o *origin) later(now time.Time) {
	spread := 0.9 + 0.2*rand.Float64()
	if o.fetched.IsZero() {
		spread = rand.Float64() // the first time: all began at once
	}
	o.next = now.Add(time.Duration(spread * float64(o.of.poll)))
}

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

// Hint says that the branch may have moved, as a webhook tells: it is looked at
// now, at the remote if there is one. Hints that come while it is being looked at
// become one. It never waits.
func (r *Repository) Hint() {
	select {
	case r.hinted <- struct{}{}:
	default:
	}
}
