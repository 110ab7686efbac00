package apikey

import (
	"errors"
	"time"
)

// Why a presented key opens nothing, in words for who presented it.
var (
	// ErrWrong: there is no such key.
	ErrWrong = errors.New("the API key is not valid: it is mistyped, was revoked or never existed")
	// ErrExpired: it was right, until it expired.
	ErrExpired = errors.New("the API key has expired: ask an admin of the tenant for a new one")
)

// Verify finds the key that is presented, among those that find knows by their
// ids; nil is none. It fails with [ErrWrong] and [ErrExpired]. Whether the id or the
// secret is wrong makes no difference, in words or in time: the secret is hashed and
// compared either way.
func Verify(token string, now time.Time, find func(id string) *Key) (*Key, Hash, error) {
	id, secret, ok := splitToken(token)
	if !ok {
		return nil, Hash{}, ErrWrong
	}
	key := find(id)
	known := key != nil
	if !known {
		key = &noKey
	}
	given := hashSecret(secret)
	if !key.Hash.equal(given) || !known {
		return nil, Hash{}, ErrWrong
	}
	if key.expired(now) {
		return nil, Hash{}, ErrExpired
	}
	return key, given, nil
}

// Split takes a token apart that has the form of one, without a look at whether there is
// such a key: its id, and the hash that [Verify] would return.
func Split(token string) (id string, hash Hash, ok bool) {
	id, secret, ok := splitToken(token)
	if !ok {
		return "", Hash{}, false
	}
	return id, hashSecret(secret), true
}

// Again finds a key that [Verify] found right before, by its id and the hash that
// Verify returned: it still is that one, and has not expired. It fails as Verify does.
func Again(id string, hash Hash, now time.Time, find func(id string) *Key) (*Key, error) {
	key := find(id)
	switch {
	case key == nil, !key.Hash.equal(hash):
		return nil, ErrWrong
	case key.expired(now):
		return nil, ErrExpired
	}
	return key, nil
}

// noKey stands in for a key that does not exist. No secret has an all-zero
// hash, and if one had, it would still not be known.
var noKey Key
