package gitstore

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/signature"
)

// SigningKey says with which key the store signs its commits. The zero value: it
// doesn't.
type SigningKey struct {
	// File holds an SSH private key or an armored OpenPGP one, and is read again
	// when it changes.
	File string
	// PassphraseFile holds what unlocks the key, and nothing else. Empty: it has no
	// passphrase.
	PassphraseFile string
}

const (
	// biggestKey bounds how much of a file with a key or a passphrase is read.
	biggestKey = 64 << 10
	// biggestSigners bounds that of a file that lists who may sign.
	biggestSigners = 4 << 20
)

// signingKey is the key that the commits of a store are signed with. It is looked
// at each time that it is needed, so that a new one is in force at once.
type signingKey struct {
	SigningKey

	mu                  sync.Mutex
	content, passphrase []byte // that it was made of
	key                 *signature.Key
	err                 error
}

// get returns the key, nil if commits aren't signed. A failure matches
// [signature.ErrKey] and [ErrUnavailable].
func (k *signingKey) get() (*signature.Key, error) {
	if k.File == "" {
		return nil, nil
	}
	key, err := k.read()
	if err != nil {
		return nil, fmt.Errorf("%w: commits can't be signed now: key file %s: %w", ErrUnavailable, k.File, err)
	}
	return key, nil
}

func (k *signingKey) read() (*signature.Key, error) {
	content, err := disk.ReadFile(disk.OS{}, k.File, biggestKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", signature.ErrKey, err)
	}
	var passphrase []byte
	if k.PassphraseFile != "" {
		if passphrase, err = disk.ReadFile(disk.OS{}, k.PassphraseFile, biggestKey); err != nil {
			return nil, fmt.Errorf("%w: its passphrase: %w", signature.ErrKey, err)
		}
		passphrase = bytes.TrimRight(passphrase, "\r\n")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key == nil && k.err == nil || !bytes.Equal(content, k.content) || !bytes.Equal(passphrase, k.passphrase) {
		k.content, k.passphrase = content, passphrase
		k.key, k.err = signature.ParseKey(content, passphrase)
	}
	return k.key, k.err
}

// signing returns what signs the commits of one batch; nil if they aren't signed.
// Where commits have to be signed, one by us that would not be in force fails with
// [ErrConflict].
func (r *Repository) signing() (func(commit []byte, when time.Time) ([]byte, error), error) {
	key, err := r.store.signingKey.get()
	if err != nil {
		return nil, err
	}
	signers := r.trust.signers
	switch {
	case key == nil && signers == nil:
		return nil, nil
	case key == nil:
		return nil, fmt.Errorf("%w: each commit of this branch has to be signed, and the server has no key to sign with; change the definition in Git, or have the operator set committer.signingKeyFile", ErrConflict)
	}
	return func(commit []byte, when time.Time) ([]byte, error) {
		signed, err := key.Sign(commit, when)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if signers != nil {
			if _, err := signers.Verify(signed, when); err != nil {
				return nil, fmt.Errorf("%w: the commit would not be in force, for it %w; change the definition in Git, or have the operator list the server's key", ErrConflict, err)
			}
		}
		return signed, nil
	}, nil
}
