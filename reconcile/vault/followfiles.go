package vault

import (
	"context"
	"reflect"
	"strings"
	"time"

	"secretsync/reconcile/vault/access"
)

// followed is what was last seen of the files that a configuration names.
type followed struct {
	due        time.Time
	busy       bool
	force      bool // the connection is to be made anew whatever the files say
	connection access.Fingerprint
	login      access.Fingerprint // nil before the first look
}

// followFiles looks at the files if it is time, on a goroutine of its own:
// files may lie on a disk that hangs.
func (b *Broker) followFiles(now time.Time) (next time.Time) {
	f := &b.files
	switch {
	case f.busy:
		return never(now)
	case f.due.After(now):
		return f.due
	}
	f.busy, f.due = true, now.Add(max(b.interval*9/10, 100*time.Millisecond))
	if b.client == nil {
		f.due = now.Add(min(b.interval, 5*time.Second))
	}
	cfg, before, force := b.cfg, f.connection, f.force || b.client == nil
	b.start(func(ctx context.Context) {
		connection, login := cfg.ConnectionFingerprint(), cfg.LoginFingerprint()
		changes := connection.Changes(before)
		var id access.Identity
		var bad *access.Failure
		if force || len(changes) > 0 {
			id, bad = cfg.Identity()
		}
		b.mu.Lock()
		defer b.poke()
		defer b.unlock()
		f.busy = false
		if b.cfg.Connection() != cfg.Connection() || !reflect.DeepEqual(b.cfg.Credentials(), cfg.Credentials()) {
			f.due = time.Time{} // configured anew meanwhile
			return
		}
		first := f.login == nil
		if force || len(changes) > 0 {
			b.connect(id, bad, connection, changes, first)
		}
		loginChanges := login.Changes(f.login)
		f.connection, f.login, f.force = connection, login, false
		if len(loginChanges) > 0 && !first {
			b.loginFilesChanged(loginChanges)
		}
	})
	return never(now)
}

// connect makes a client of what the files held. One that works is not given
// up for files that are bad.
func (b *Broker) connect(id access.Identity, bad *access.Failure, files access.Fingerprint, changes []string, first bool) {
	now := b.o.Clock.Now()
	if bad != nil {
		if b.client == nil || !b.client.Reaches(b.cfg) {
			if b.client != nil {
				b.o.Shared.ways.GiveBack(b.client.Way)
				b.client = nil
			}
			b.setOutage(bad, now)
			return
		}
		b.log.Warn("vault files not taken in; the connection goes on as it was", "files", strings.Join(changes, " "), "cause", bad.Message, "detail", bad.Detail)
		return
	}
	old := b.client
	b.client = access.NewClient(b.cfg, b.o.Shared.ways.Take(b.cfg, id, files), b.o.Requested)
	b.session.hurry()
	if old != nil {
		b.o.Shared.ways.GiveBack(old.Way)
	}
	if !first && len(changes) > 0 {
		b.log.Info("vault files changed; connecting anew", "files", strings.Join(changes, " "))
	}
}

func (b *Broker) loginFilesChanged(changes []string) {
	s := &b.session
	b.log.Info("vault files changed; logging in anew", "files", strings.Join(changes, " "))
	s.refusals = 0
	s.changes++
	s.hurries++
	s.hurry()
	if s.Token != "" {
		s.again, s.because = true, filesChanged
	}
}
