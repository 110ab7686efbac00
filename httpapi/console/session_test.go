package console

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
		after func(*wall, *sessions, *session, string)
		over  bool
	}{
		"after a request it is not":     {who: who, after: func(w *wall, ss *sessions, _ *session, cookie string) { w.at = w.at.Add(time.Minute) }},
		"when nobody used it for long":  {who: who, over: true, after: func(w *wall, _ *sessions, _ *session, _ string) { w.at = w.at.Add(idleLife) }},
		"when only pages freshened up":  {who: who, over: true, after: func(w *wall, ss *sessions, _ *session, cookie string) { step(w, ss, cookie, idleLife, false) }},
		"not while it is used":          {who: who, after: func(w *wall, ss *sessions, _ *session, cookie string) { step(w, ss, cookie, 2*idleLife, true) }},
		"after its longest life":        {who: who, over: true, after: func(w *wall, ss *sessions, _ *session, cookie string) { step(w, ss, cookie, absoluteLife, true) }},
		"when its key expires":          {who: Identity{KeyID: "ak-one", Expires: time.Unix(1000, 0)}, over: true, after: func(w *wall, _ *sessions, _ *session, _ string) { w.at = time.Unix(1000, 0) }},
		"when it is signed out of":      {who: who, over: true, after: func(_ *wall, ss *sessions, s *session, _ string) { ss.end(s) }},
		"when its key is revoked":       {who: who, over: true, after: func(_ *wall, ss *sessions, _ *session, _ string) { ss.endOf("ak-one") }},
		"not when another's is revoked": {who: who, after: func(_ *wall, ss *sessions, _ *session, _ string) { ss.endOf("ak-two") }},
		"when its key signs in very often": {who: who, over: true, after: func(w *wall, ss *sessions, _ *session, _ string) {
			for range maxOfKey {
				w.at = w.at.Add(time.Second)
				ss.begin(who)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &wall{time.Unix(500, 0)}
			ss := newSessions(w.now)
			s, cookie := ss.begin(c.who)
			c.after(w, ss, s, cookie)
			if over := ss.find(cookie, true) == nil; over != c.over {
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
func step(w *wall, ss *sessions, cookie string, all time.Duration, use bool) {
	for end := w.at.Add(all); w.at.Before(end); {
		w.at = w.at.Add(idleLife / 2)
		ss.find(cookie, use)
	}
}

func TestSessionsAreBoundedInAll(t *testing.T) {
	w := &wall{time.Unix(500, 0)}
	ss := newSessions(w.now)
	for i := range maxSessions + 10 {
		w.at = w.at.Add(time.Millisecond)
		ss.begin(Identity{KeyID: "ak-" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))})
	}
	if n := len(ss.byID); n != maxSessions {
		t.Errorf("%d sessions", n)
	}
}

func TestSignInLeadsToOurPagesAlone(t *testing.T) {
	for path, want := range map[string]string{
		"/console/d/db?wait=1":             "/console/d/db?wait=1",
		"":                                 home,
		"https://elsewhere.example":        home,
		"//elsewhere.example/console/":     home,
		"/console/\\elsewhere":             home,
		"/console/sign-in":                 home,
		"/api/v1/tenants/acme":             home,
		"/console/\r\nSet-Cookie: a=b":     home,
		"javascript:alert(1)//console/":    home,
		"/console/../api/v1/tenants/acme/": home,
	} {
		if got := nextPath(path); got != want {
			t.Errorf("%q leads to %q", path, got)
		}
	}
}
