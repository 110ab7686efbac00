package vault

import (
	"testing"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/kv"
)

// A read that began before a Refresh ends after it, and nobody holds the value any more.
func TestAReadThatBeganBeforeARefreshIsNotItsAnswer(t *testing.T) {
	b := New(access.Config{}, Options{})
	s := b.Source("db", nil)
	begin := func() read {
		s.class, s.running = none, true
		r := read{s: s, places: b.places}
		if s.w != nil {
			r.refresh = s.w.asked
		}
		return r
	}
	end := func(r read) { b.finish(r, outcome{version: kv.Version{Number: 1}}, time.Now()) }
	held := s.Request()
	s.Refresh()
	end(begin())
	if s.State().Asked {
		t.Fatal("the first is not over")
	}
	earlier := begin()
	held.Release()
	s.Refresh()
	end(earlier)
	if !s.State().Asked {
		t.Error("a read that began before it is its answer")
	}
	end(begin())
	if s.State().Asked || s.w != nil {
		t.Errorf("it is not over: %+v, %+v", s.State(), s.w)
	}
}

// What changes while a login is under way is not over with it.
func TestALoginThatReadItsFilesBeforeTheyChangedIsMadeAnew(t *testing.T) {
	now := time.Now()
	denied := access.Forbidden("", "no")
	good := access.Grant{Token: "new", Leased: true}
	for name, c := range map[string]struct {
		held      string // the token before
		meanwhile func(*Broker)
		failed    *access.Failure
		again     bool // a login is due at once
	}{
		"nothing changes":                               {meanwhile: func(*Broker) {}},
		"they change, and it succeeds":                  {meanwhile: changed, again: true},
		"they change, and it fails":                     {meanwhile: changed, failed: denied, again: true},
		"they change, and one that is wanted succeeds":  {held: "old", meanwhile: changed, again: true},
		"they change, and one that is wanted fails":     {held: "old", meanwhile: changed, failed: denied, again: true},
		"somebody asks for another, and it fails":       {meanwhile: (*Broker).Reread, failed: denied, again: true},
		"somebody asks for another, and it succeeds":    {meanwhile: (*Broker).Reread},
		"nothing changes, and it fails":                 {meanwhile: func(*Broker) {}, failed: denied},
		"nothing changes, and one that is wanted fails": {held: "old", meanwhile: func(*Broker) {}, failed: denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New(access.Config{}, Options{})
			s := &b.session
			s.Token, s.again, s.busy = c.held, c.held != "", true
			if c.held != "" {
				b.down.Store(nil)
			}
			e := errand{what: logIn, changes: s.changes, hurries: s.hurries}
			c.meanwhile(b)
			s.busy = false
			g := good
			if c.failed != nil {
				g = access.Grant{}
			}
			b.loggedIn(g, c.failed, now, now)
			s.overtaken(&e)
			what, when := s.next(b.down.Load() != nil, false, time.Minute)
			if again := what == logIn && when.IsZero(); again != c.again {
				t.Errorf("next is %v at %v", what, when)
			}
			if c.failed != nil && c.held == "" && b.down.Load().Reason != fault.ReasonVaultForbidden {
				t.Errorf("%+v", b.down.Load())
			}
		})
	}
}

func changed(b *Broker) { b.loginFilesChanged([]string{"secretIDFile"}) }
