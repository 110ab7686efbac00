package signature

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"golang.org/x/crypto/ssh"
)

// Key is a private key that signs commits. It may be used by several goroutines.
type Key struct {
	ssh  ssh.AlgorithmSigner // or pgp
	name string

	mu  sync.Mutex // the library notes in a key what it found out about it
	pgp *openpgp.Entity
}

// ErrKey: a file does not hold a private key that can be used. Errors that match it
// say why, and hold nothing of the key.
var ErrKey = errors.New("no private key that can sign")

func keyError(why string) error { return fmt.Errorf("%w: %s", ErrKey, why) }

// ParseKey reads an SSH private key (OpenSSH's form, or PEM) or an armored OpenPGP
// one. The passphrase may be empty, where the key has none.
func ParseKey(content, passphrase []byte) (*Key, error) {
	if bytes.Contains(content, []byte(pgpPrivateKey)) {
		return parsePGPKey(content, passphrase)
	}
	if block, _ := pem.Decode(content); block == nil {
		return nil, keyError("the file holds neither an SSH private key nor an armored OpenPGP one")
	}
	signer, err := ssh.ParsePrivateKey(content)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		if len(passphrase) == 0 {
			return nil, keyError("it has a passphrase; name the file that holds it")
		}
		if signer, err = ssh.ParsePrivateKeyWithPassphrase(content, passphrase); err != nil {
			return nil, keyError("the passphrase does not fit it, or it is damaged")
		}
	}
	if err != nil {
		return nil, keyError("the SSH private key can't be read")
	}
	algorithms, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, keyError("it is of a kind that can't sign commits")
	}
	if err := acceptable(signer.PublicKey()); err != nil {
		return nil, keyError(err.Error())
	}
	return &Key{ssh: algorithms, name: ssh.FingerprintSHA256(signer.PublicKey())}, nil
}

func parsePGPKey(content, passphrase []byte) (k *Key, err error) {
	defer func() {
		if recover() != nil {
			k, err = nil, keyError("the OpenPGP private key can't be read")
		}
	}()
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(content))
	if err != nil || len(keys) != 1 || keys[0].PrivateKey == nil {
		return nil, keyError("the file has to hold exactly one OpenPGP private key, as written by: gpg --export-secret-keys --armor")
	}
	key := keys[0]
	locked := key.PrivateKey.Encrypted
	for _, sub := range key.Subkeys {
		locked = locked || sub.PrivateKey != nil && sub.PrivateKey.Encrypted
	}
	if locked {
		if len(passphrase) == 0 {
			return nil, keyError("it has a passphrase; name the file that holds it")
		}
		if key.DecryptPrivateKeys(passphrase) != nil {
			return nil, keyError("the passphrase does not fit it, or it is damaged")
		}
	}
	return &Key{pgp: key, name: fmt.Sprintf("OpenPGP %X", key.PrimaryKey.Fingerprint)}, nil
}

// Name is the fingerprint of the public key.
func (k *Key) Name() string { return k.name }

// Sign returns the commit with its signature. The time is the committer's.
func (k *Key) Sign(commit []byte, when time.Time) ([]byte, error) {
	var armored []byte
	var err error
	if k.ssh != nil {
		armored, err = signSSH(k.ssh, commit)
	} else {
		k.mu.Lock()
		armored, err = signPGP(k.pgp, commit, when)
		k.mu.Unlock()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s does not sign: %w", ErrKey, k.name, err)
	}
	return Join(commit, armored), nil
}
