package signature

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Signers are those whose signatures count. They are for one goroutine at a time.
type Signers struct {
	ssh    []allowed
	pgp    openpgp.EntityList
	faults []string
	id     [sha256.Size]byte
}

// ParseSigners reads an allowed-signers file and a file of OpenPGP public keys,
// armored or binary; nil is a file that isn't used. A line or a key that can't be
// read is told by [Signers.Faults]; nobody signs with it. Times in the first that
// have no Z are local ones.
func ParseSigners(allowedSigners, openPGPKeys []byte, local *time.Location) *Signers {
	s := &Signers{}
	if allowedSigners != nil {
		var faults []string
		s.ssh, faults = parseAllowed(allowedSigners, local)
		for _, fault := range faults {
			s.faults = append(s.faults, "allowedSignersFile, "+fault)
		}
	}
	if openPGPKeys != nil {
		var faults []string
		s.pgp, faults = parseKeyring(openPGPKeys)
		for _, fault := range faults {
			s.faults = append(s.faults, "openPGPKeysFile: "+fault)
		}
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %s\n", len(allowedSigners), len(openPGPKeys), local)
	h.Write(allowedSigners)
	h.Write(openPGPKeys)
	s.id = [sha256.Size]byte(h.Sum(nil))
	return s
}

// Faults are what could not be read of the files, a sentence each, which names no key.
func (s *Signers) Faults() []string { return s.faults }

// ID is another one whenever the files are.
func (s *Signers) ID() string { return fmt.Sprintf("%x", s.id) }

// Verify says who of those listed signed a commit, or why it does not count as
// signed, in words that follow "commit X …". The time is the committer's.
func (s *Signers) Verify(commit []byte, when time.Time) (by string, err error) {
	payload, armored, err := Split(commit)
	if err != nil {
		return "", err
	}
	switch {
	case bytes.HasPrefix(armored, []byte(sshBegin)):
		parsed, err := parseSSH(armored)
		if err != nil {
			return "", err
		}
		return parsed.verify(s.ssh, payload, when)
	case bytes.HasPrefix(armored, []byte(pgpBegin)):
		return verifyPGP(s.pgp, payload, armored, when)
	}
	return "", errForm
}

var errForm = errors.New("bears a signature that is neither an SSH nor an OpenPGP one")
