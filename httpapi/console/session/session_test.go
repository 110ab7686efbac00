package session

import (
	"testing"
	"time"
)

// wall is a clock that a test moves.
type wall struct{ at time.Time }

func (w *wall) now() time.Time { return w.at }

func TestASessionIsOver(t *testing.T) {
	who := Identity{Tenant: "acme", KeyID: "ak-one"}
	for name, c := range map[string]struct {
		who   Identity
		after func(*wall, *Store, *Session, string)
		over  bool
	}{
		"after a request it is not":     {who: who, after: func(w *wall, ss *Store, _ *Session, cookie string) { w.at = w.at.Add(time.Minute) }},
		"when nobody used it for long":  {who: who, over: true, after: func(w *wall, _ *Store, _ *Session, _ string) { w.at = w.at.Add(IdleLife) }},
		"when only pages freshened up":  {who: who, over: true, after: func(w *wall, ss *Store, _ *Session, cookie string) { step(w, ss, cookie, IdleLife, false) }},
		"not while it is used":          {who: who, after: func(w *wall, ss *Store, _ *Session, cookie string) { step(w, ss, cookie, 2*IdleLife, true) }},
		"after its longest life":        {who: who, over: true, after: func(w *wall, ss *Store, _ *Session, cookie string) { step(w, ss, cookie, Life, true) }},
		"when its key expires":          {who: Identity{KeyID: "ak-one", Expires: time.Unix(1000, 0)}, over: true, after: func(w *wall, _ *Store, _ *Session, _ string) { w.at = time.Unix(1000, 0) }},
		"when it is signed out of":      {who: who, over: true, after: func(_ *wall, ss *Store, s *Session, _ string) { ss.End(s) }},
		"when its key is revoked":       {who: who, over: true, after: func(_ *wall, ss *Store, _ *Session, _ string) { ss.EndOf("ak-one") }},
		"not when another's is revoked": {who: who, after: func(_ *wall, ss *Store, _ *Session, _ string) { ss.EndOf("ak-two") }},
		"when its key signs in very often": {who: who, over: true, after: func(w *wall, ss *Store, _ *Session, _ string) {
			for range mostOfKey {
				w.at = w.at.Add(time.Second)
				ss.Begin(who)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &wall{time.Unix(500, 0)}
			ss := NewStore(w.now)
			s, cookie := ss.Begin(c.who)
			c.after(w, ss, s, cookie)
			if over := ss.Find(cookie, true) == nil; over != c.over {
				t.Errorf("over: %v; want %v", over, c.over)
			}
			select {
			case <-s.over:
				if !c.over {
					t.Error("its streams were ended")
				}
			default:
				if c.over {
					t.Error("its streams were not told")
				}
			}
		})
	}
}

// step lets time pass in small steps, with a request at each.
func step(w *wall, ss *Store, cookie string, all time.Duration, use bool) {
	for end := w.at.Add(all); w.at.Before(end); {
		w.at = w.at.Add(IdleLife / 2)
		ss.Find(cookie, use)
	}
}

func TestSessionsAreBoundedInAll(t *testing.T) {
	w := &wall{time.Unix(500, 0)}
	ss := NewStore(w.now)
	for i := range most + 10 {
		w.at = w.at.Add(time.Millisecond)
		ss.Begin(Identity{KeyID: "ak-" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))})
	}
	if n := len(ss.byID); n != most || len(ss.ofKey) != most {
		t.Errorf("%d sessions of %d keys", n, len(ss.ofKey))
	}
	w.at = w.at.Add(Life)
	ss.Begin(Identity{KeyID: "ak-one"})
	if n := len(ss.byID); n != 1 || len(ss.ofKey) != 1 {
		t.Errorf("%d sessions of %d keys are left of those that are over", n, len(ss.ofKey))
	}
}

func TestStreamsAreBoundedForASessionAndATenant(t *testing.T) {
	ss := NewStore(time.Now)
	entered := 0
	for range mostStreamsOfTenant {
		s, _ := ss.Begin(Identity{Tenant: "acme", KeyID: "ak-" + random()})
		for of := 0; ss.Enter(s); of++ {
			entered++
			if of >= mostStreams {
				t.Fatal("a session has any number")
			}
		}
	}
	if entered != mostStreamsOfTenant {
		t.Errorf("a tenant has %d", entered)
	}
	other, _ := ss.Begin(Identity{Tenant: "globex", KeyID: "ak-other"})
	if !ss.Enter(other) {
		t.Error("another tenant has none")
	}
	ss.Leave(other)
	if ss.streams != entered || len(ss.streamsOf) != 1 {
		t.Errorf("%d, %v", ss.streams, ss.streamsOf)
	}
}
