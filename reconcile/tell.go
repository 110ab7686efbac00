package reconcile

import (
	"context"
	"log/slog"
	"time"
	"unique"

	"secretsync/gitstore/catalog"
	"secretsync/reconcile/decide"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/status"
	"secretsync/reconcile/vault/kv"
)

// told is what was last said of a target: statuses are worked out anew each
// time, and this is what makes a transition of a difference. There is one
// of each target, so it is kept small. Times are in Unix nanoseconds; 0 is never.
type told struct {
	kind     unique.Handle[kind]
	message  string
	since    int64      // when kind last changed
	right    bool       // value and copy agreed
	version  kv.Version // that of the value meanwhile
	lastSync int64      // when they were last known to
	look     uint64     // by which that was; see [place.gather]
}

// kind is the part of how a target stands that a transition is told of.
type kind struct {
	state  fault.State
	reason fault.Reason
}

// as is how it was told to stand; empty before anything was.
func (d *told) as() kind {
	if d.kind == (unique.Handle[kind]{}) {
		return kind{}
	}
	return d.kind.Value()
}

// standing is how a target stands, with what stands there.
type standing struct {
	status.Target // but for what the copy tells; see full
	copy          *copies.Copy
}

// full fills in what the copy tells: it costs more than all the rest, and only
// those want it who ask for one definition.
func (s standing) full(o copies.Owner) status.Target {
	if c := s.copy; c != nil && c.Owner == o && c.Intact && c.Labelled && !c.Format.Newer() {
		s.VaultVersion = c.Version
		if c.Others != "" {
			s.VaultVersions = decide.Versions(c.Others)
			s.VaultVersions[c.Path] = c.Version
		}
		s.Commit, _ = catalog.ParseRevision(c.Commit) // zero where somebody edited it
	}
	return s.Target
}

// tell says how the targets of a place stand by what was decided.
func (w *work) tell() {
	for _, t := range w.others {
		t.stand(&w.in, &w.Decision, w.target, w.look)
	}
}

// stands works out how a target stands now.
func (t *target) stands(now time.Time) (s standing) {
	defer func() {
		if recover() != nil {
			// The pass over the place panics in the same way, and logs it.
			s = standing{Target: status.Of(t.spec, t.secret, internalError())}
			s.Since = now
		}
	}()
	in, h, look, ok := t.look(now)
	if !ok {
		return standing{Target: status.Of(t.spec, t.secret, fault.Queued("not tried yet"))}
	}
	d := decide.Next(&in)
	return t.stand(&in, &d, h, look)
}

// look gathers what a status of the target goes by. It is false for one that
// was withdrawn meanwhile.
func (t *target) look(now time.Time) (in decide.Input, h *target, look uint64, ok bool) {
	p := t.place.Load()
	if p == nil {
		return in, nil, 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.claims) == 0 {
		return in, nil, 0, false
	}
	in, h, _ = p.gather(now)
	return in, h, p.looks, true
}

// stand says how the target stands by what was decided about its place, which
// h has, and tells of it if that is another way than before and nobody who looked later
// has told already.
func (t *target) stand(in *decide.Input, d *decide.Decision, h *target, look uint64) standing {
	f, since, right := d.Fault, d.Since, d.Right
	if h != t {
		f, since, right = conflict(in, t, h), time.Time{}, false
		switch down := t.connection.outage(); {
		case down != nil:
			named := down.Fault
			named.Message = "cluster " + t.spec.Cluster.String() + ": " + named.Message
			f, since = &named, down.Since
		case in.Seen.Fault != nil: // whose it is can't be seen
			f = in.Seen.Fault
		}
	}
	s := standing{status.Of(t.spec, t.secret, f), in.Seen.Copy}
	before, late := t.tell(&s.Target, in, look, right, since)
	if !since.IsZero() {
		// An outage lies over what was told: it is one thing, and told by itself.
		s.Since = since
		return s
	}
	if was := before.as(); !late && (was.reason != s.Reason || before.message != s.Message) {
		t.announce(&s.Target, was.reason)
	}
	// It did not stand so during an outage that is over.
	s.NotBefore(t.connection.recovery.at())
	if decide.ConcernsVault(s.Reason) || s.Reason == fault.ReasonSynced {
		s.NotBefore(t.tenant.recovery.at())
	}
	return s
}

// tell keeps what is told of the target, fills in what that says of when, and
// returns what was told before. It is late where somebody who looked later has told
// already: that stands.
func (t *target) tell(s *status.Target, in *decide.Input, look uint64, right bool, outage time.Time) (before told, late bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before = t.told
	if late = look < before.look; !late {
		t.told.look = look
		t.told.agree(in, right, outage)
	}
	s.LastSync = instant(t.told.lastSync)
	if !outage.IsZero() {
		return before, late
	}
	is, since := kind{s.State, s.Reason}, before.since
	if before.as() != is {
		since = in.Now.UnixNano()
	}
	s.Since = instant(since)
	if !late {
		t.told.kind, t.told.since, t.told.message = unique.Make(is), since, s.Message
	}
	return before, late
}

// lastTold is the look by which it was last told how the target stands.
func (t *target) lastTold() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told.look
}

// agree keeps when value and copy were last known to agree.
func (d *told) agree(in *decide.Input, right bool, outage time.Time) {
	confirm := func(at time.Time) {
		if at.After(instant(d.lastSync)) {
			d.lastSync = at.UnixNano()
		}
	}
	switch {
	case right && d.right:
		confirm(in.Source.Checked)
	case right:
		d.lastSync = in.Now.UnixNano()
	case d.right && in.Version() != d.version:
		confirm(in.Source.Stood)
	case d.right && !outage.IsZero() && outage.Before(in.Source.Checked):
		confirm(outage)
	case d.right:
		confirm(in.Source.Checked)
	}
	d.right, d.version = right, in.Version()
}

// announce tells all who want to know that a target stands in another way.
func (t *target) announce(s *status.Target, before fault.Reason) {
	t.tenant.announce()
	if before == s.Reason {
		return
	}
	level := slog.LevelDebug
	if s.State == fault.Error {
		level = slog.LevelWarn
		t.warn(s)
	}
	if t.tenant.log.Enabled(context.Background(), level) {
		t.tenant.log.Log(context.Background(), level, transition[level], "definition", t.owner.Name, "cluster", t.spec.Cluster.String(), "secret", t.at.String(), "reason", s.Reason, "cause", s.Message)
	}
}

var transition = map[slog.Level]string{slog.LevelDebug: "target settled", slog.LevelWarn: "target not synced"}

// warn tells the users of the cluster, if it is of a kind that helps them: not
// of the cluster itself, the vault or the configuration.
func (t *target) warn(s *status.Target) {
	switch s.Reason {
	case fault.ReasonNotOwned, fault.ReasonTypeMismatch, fault.ReasonNewerFormat, fault.ReasonTargetConflict, fault.ReasonKeyConflict,
		fault.ReasonValueDeleted, fault.ReasonInvalidKey, fault.ReasonKeyNotFound, fault.ReasonTemplateFailed, fault.ReasonValueTooLarge, fault.ReasonForbidden, fault.ReasonAltered, fault.ReasonContended:
		t.connection.kube.Warn(t.at, string(s.Reason), s.Message)
	}
}

// conflict says that another target has the place.
func conflict(in *decide.Input, t, h *target) *fault.Fault {
	switch {
	case h.owner == t.owner:
		return targetConflict("another target of this definition is the same Secret %s by the name of cluster %s; remove one", in.At, h.spec.Cluster)
	case h.owner.Tenant == t.owner.Tenant:
		return targetConflict("definition %s already fills Secret %s in cluster %s; remove the target from one of the two", h.owner.Name, in.At, t.spec.Cluster)
	}
	return targetConflict("Secret %s in cluster %s is already filled from elsewhere; choose another secretName or namespace", in.At, t.spec.Cluster)
}

func targetConflict(format string, args ...any) *fault.Fault {
	return fault.New(fault.Error, fault.ReasonTargetConflict, format, args...)
}
