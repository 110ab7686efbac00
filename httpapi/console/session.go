package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"sync"
	"time"
)

// How long a session lives, and how many there are. What a browser does by itself,
// to keep a page fresh, does not count as use.
const (
	idleLife     = 30 * time.Minute
	absoluteLife = 8 * time.Hour
	maxSessions  = 4096
	maxOfKey     = 16
)

// sessions are those who are signed in. A session's life:
//
//	event                                  what becomes of it
//	-------------------------------------  --------------------------------------
//	sign-in with a right key               made anew: an id is never taken over
//	a request with its cookie              lives on for idleLife
//	no request for idleLife                over
//	absoluteLife after sign-in             over, used or not
//	the key expires, is revoked or         over with the next call, and its
//	replaced                               streams with it
//	sign-out                               over, in every tab
//	one more of the key than maxOfKey,     the one not used for longest is over
//	or of all than maxSessions
//	the server ends                        over: nothing is on disk
type sessions struct {
	now func() time.Time

	mu   sync.Mutex
	byID map[[32]byte]*session // by the hash of what the cookie holds
}

type session struct {
	id      [32]byte
	who     Identity
	form    string // the token in its forms
	begun   time.Time
	over    chan struct{} // closed when it ends
	streams int           // guarded by sessions.mu
	used    time.Time     // guarded by sessions.mu
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, byID: map[[32]byte]*session{}}
}

// random returns 256 random bits as text for cookies and forms.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// begin makes a session, and what its cookie holds.
func (ss *sessions) begin(who Identity) (*session, string) {
	secret := random()
	now := ss.now()
	s := &session{id: sha256.Sum256([]byte(secret)), who: who, form: random(), begun: now, used: now, over: make(chan struct{})}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	var all, mine, oldest, oldestMine = 0, 0, (*session)(nil), (*session)(nil)
	for _, other := range ss.byID {
		if !ss.lives(other, now) {
			ss.drop(other)
			continue
		}
		all++
		if oldest == nil || other.used.Before(oldest.used) {
			oldest = other
		}
		if other.who.KeyID == who.KeyID {
			mine++
			if oldestMine == nil || other.used.Before(oldestMine.used) {
				oldestMine = other
			}
		}
	}
	switch {
	case mine >= maxOfKey:
		ss.drop(oldestMine)
	case all >= maxSessions:
		ss.drop(oldest)
	}
	ss.byID[s.id] = s
	return s, secret
}

// lives is called with the lock held.
func (ss *sessions) lives(s *session, now time.Time) bool {
	return now.Sub(s.used) < idleLife && now.Sub(s.begun) < absoluteLife && (s.who.Expires.IsZero() || now.Before(s.who.Expires))
}

// drop is called with the lock held.
func (ss *sessions) drop(s *session) {
	if ss.byID[s.id] == s {
		delete(ss.byID, s.id)
		close(s.over)
	}
}

// find returns the session of a cookie, nil if there is none. With use it lives on.
func (ss *sessions) find(secret string, use bool) *session {
	id := sha256.Sum256([]byte(secret))
	now := ss.now()
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byID[id]
	if s == nil {
		return nil
	}
	if !ss.lives(s, now) {
		ss.drop(s)
		return nil
	}
	if use {
		s.used = now
	}
	return s
}

func (ss *sessions) end(s *session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.drop(s)
}

// endOf ends all sessions of a key.
func (ss *sessions) endOf(keyID string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, s := range ss.byID {
		if s.who.KeyID == keyID {
			ss.drop(s)
		}
	}
}

// genuine reports whether a form carries the session's token.
func (s *session) genuine(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.form)) == 1
}

// cookieName has the prefix by which browsers hold a cookie to its host, to the
// whole of it and to TLS; without TLS it can't have it.
func cookieName(secure bool) string {
	if secure {
		return "__Host-secretsync"
	}
	return "secretsync"
}

func setCookie(w http.ResponseWriter, secure bool, value string) {
	c := &http.Cookie{Name: cookieName(secure), Value: value, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
