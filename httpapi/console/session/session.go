// Package session owns who is signed in to the console: each session's life, its end,
// and how many there are. Nothing of it is on disk.
package session

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"sync"
	"time"
)

// How long a session lives: unused, and at most. What a browser does by itself, to keep
// a page fresh, does not count as use.
const (
	IdleLife = 30 * time.Minute
	Life     = 8 * time.Hour
)

// How many there are: of all keys, and of one.
const (
	most      = 4096
	mostOfKey = 16
)

// Store holds those who are signed in. It is safe for concurrent use. A session's life:
//
//	event                                 what becomes of it
//	------------------------------------  ------------------------------------
//	sign-in with a right key              made anew: an id is never taken over
//	a request with its cookie             lives on for IdleLife
//	no request for IdleLife               over
//	Life after sign-in                    over, used or not
//	the key expires, is revoked or        over with the next call, and its
//	replaced                              streams with it
//	sign-out                              over, in every tab
//	one more of the key than mostOfKey,   the one not used for longest is over
//	or of all than most
//	the server ends                       over: nothing is on disk
//	the tenant comes to another replica   over: it is where the tenant is, and there alone
type Store struct {
	now func() time.Time

	mu    sync.Mutex
	byID  map[[32]byte]*Session // by the hash of what the cookie holds
	ofKey map[string]int        // how many, by the key's id

	streams   int
	streamsOf map[string]int // by tenant
}

// Identity is a key that was right, without the key.
type Identity struct {
	Tenant, KeyID string
	Name          string // as commits have it
	Admin         bool
	Expires       time.Time // zero: never
	Proof         [32]byte  // by which it is recognised that the key is still that one
}

// Session is one sign-in.
type Session struct {
	id      [32]byte
	Who     Identity
	Form    string // the token in its forms
	begun   time.Time
	over    chan struct{} // closed when it ends
	streams int           // guarded by Store.mu
	used    time.Time     // guarded by Store.mu
}

// NewStore makes one that goes by a clock.
func NewStore(now func() time.Time) *Store {
	return &Store{now: now, byID: map[[32]byte]*Session{}, ofKey: map[string]int{}, streamsOf: map[string]int{}}
}

// random returns 256 random bits as text for cookies and forms.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Begin makes a session, and what its cookie holds: the tenant, by which other replicas
// find the one that has the session, and 256 random bits.
func (ss *Store) Begin(who Identity) (*Session, string) {
	secret := who.Tenant + "." + random()
	now := ss.now()
	s := &Session{id: sha256.Sum256([]byte(secret)), Who: who, Form: random(), begun: now, used: now, over: make(chan struct{})}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.ofKey[who.KeyID] >= mostOfKey || len(ss.byID) >= most {
		ss.makeRoom(who.KeyID, now)
	}
	ss.byID[s.id] = s
	ss.ofKey[who.KeyID]++
	return s, secret
}

// TenantOf returns the tenant that a cookie names.
func TenantOf(cookie string) string {
	tenant, _, _ := strings.Cut(cookie, ".")
	return tenant
}

// makeRoom drops what is over, and if that is not enough what was not used for longest,
// of the key if it is that which has too many. It is called with the lock held.
func (ss *Store) makeRoom(keyID string, now time.Time) {
	var oldest, oldestOfKey *Session
	for _, s := range ss.byID {
		if !ss.lives(s, now) {
			ss.drop(s)
			continue
		}
		if oldest == nil || s.used.Before(oldest.used) {
			oldest = s
		}
		if s.Who.KeyID == keyID && (oldestOfKey == nil || s.used.Before(oldestOfKey.used)) {
			oldestOfKey = s
		}
	}
	switch {
	case ss.ofKey[keyID] >= mostOfKey:
		ss.drop(oldestOfKey)
	case len(ss.byID) >= most:
		ss.drop(oldest)
	}
}

// lives is called with the lock held.
func (ss *Store) lives(s *Session, now time.Time) bool {
	return now.Sub(s.used) < IdleLife && now.Sub(s.begun) < Life && (s.Who.Expires.IsZero() || now.Before(s.Who.Expires))
}

// drop is called with the lock held.
func (ss *Store) drop(s *Session) {
	if ss.byID[s.id] == s {
		delete(ss.byID, s.id)
		if ss.ofKey[s.Who.KeyID]--; ss.ofKey[s.Who.KeyID] == 0 {
			delete(ss.ofKey, s.Who.KeyID)
		}
		close(s.over)
	}
}

// Find returns the session of a cookie, nil if there is none. With use it lives on.
func (ss *Store) Find(secret string, use bool) *Session {
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

// End ends a session: in every tab, and its streams.
func (ss *Store) End(s *Session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.drop(s)
}

// EndOf ends all sessions of a key.
func (ss *Store) EndOf(keyID string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, s := range ss.byID {
		if s.Who.KeyID == keyID {
			ss.drop(s)
		}
	}
}

// Genuine reports whether a form carries the session's token.
func (s *Session) Genuine(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.Form)) == 1
}

// How many pages are kept fresh at once: of a session, of a tenant, and in all. A tenant
// takes none from the others but with three more.
const (
	mostStreams         = 6
	mostStreamsOfTenant = 128
	mostStreamsOfAll    = 512
)

// Enter takes a place for a stream in a session; false where there is none.
func (ss *Store) Enter(s *Session) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s.streams >= mostStreams || ss.streamsOf[s.Who.Tenant] >= mostStreamsOfTenant || ss.streams >= mostStreamsOfAll {
		return false
	}
	s.streams++
	ss.streams++
	ss.streamsOf[s.Who.Tenant]++
	return true
}

// Leave gives the place back.
func (ss *Store) Leave(s *Session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s.streams--
	ss.streams--
	if ss.streamsOf[s.Who.Tenant]--; ss.streamsOf[s.Who.Tenant] == 0 {
		delete(ss.streamsOf, s.Who.Tenant)
	}
}

// Stands reports whether a session is not over.
func (ss *Store) Stands(s *Session) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.byID[s.id] != s {
		return false
	}
	if !ss.lives(s, ss.now()) {
		ss.drop(s)
		return false
	}
	return true
}

// Over is closed when a session ends.
func (s *Session) Over() <-chan struct{} { return s.over }
