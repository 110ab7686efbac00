package trust

import (
	"bytes"
	"fmt"
	"sync"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/signature"
)

// biggestKey bounds how much of a file with a key or a passphrase is read.
const biggestKey = 64 << 10

// Key is the key that commits are signed with. It is looked at each time that it is
// needed, so that a new one is in force at once. It may be used by several goroutines.
type Key struct {
	// File holds an SSH private key or an armored OpenPGP one. Empty: commits aren't
	// signed.
	File string
	// PassphraseFile holds what unlocks the key, and nothing else. Empty: it has no
	// passphrase.
	PassphraseFile string

	mu                  sync.Mutex
	content, passphrase []byte // that it was made of
	key                 *signature.Key
	err                 error
}

// Get returns the key, nil if commits aren't signed. A failure matches
// [signature.ErrKey].
func (k *Key) Get() (*signature.Key, error) {
	if k.File == "" {
		return nil, nil
	}
	key, err := k.read()
	if err != nil {
		return nil, fmt.Errorf("commits can't be signed now: key file %s: %w", k.File, err)
	}
	return key, nil
}

func (k *Key) read() (*signature.Key, error) {
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
