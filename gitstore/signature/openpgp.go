package signature

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

const (
	pgpBegin      = "-----BEGIN PGP SIGNATURE-----"
	pgpPublicKey  = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	pgpPrivateKey = "-----BEGIN PGP PRIVATE KEY BLOCK-----"
	mostPGP       = 64 << 10
)

var errPGPForm = errors.New("bears an OpenPGP signature that can't be read")

// parseKeyring reads public keys: any number of armored blocks, or a binary keyring.
func parseKeyring(content []byte) (keys openpgp.EntityList, faults []string) {
	if !bytes.Contains(content, []byte(pgpPublicKey)) {
		if len(bytes.TrimSpace(content)) == 0 {
			return nil, []string{"it holds no key"}
		}
		keys, err := readKeyring(bytes.NewReader(content))
		if err != nil || len(keys) == 0 {
			return nil, []string{"it holds no key that can be read; write one with: gpg --export --armor"}
		}
		return keys, nil
	}
	for n, block := range strings.Split(string(content), pgpPublicKey)[1:] {
		var some openpgp.EntityList
		decoded, err := armor.Decode(strings.NewReader(pgpPublicKey + block))
		if err == nil {
			some, err = readKeyring(decoded.Body)
		}
		if err != nil || len(some) == 0 {
			faults = append(faults, fmt.Sprintf("key block %d can't be read", n+1))
			continue
		}
		keys = append(keys, some...)
	}
	return keys, faults
}

// readKeyring reads keys as they stand in a file. Those that are no public ones are
// left out.
func readKeyring(r io.Reader) (keys openpgp.EntityList, err error) {
	defer recovered(&err)
	all, err := openpgp.ReadKeyRing(r)
	for _, key := range all {
		if key.PrivateKey == nil {
			keys = append(keys, key)
		}
	}
	return keys, err
}

// recovered makes an error of a panic of the library, which has been known to do so
// where what it reads makes no sense.
func recovered(err *error) {
	if recover() != nil {
		*err = errPGPForm
	}
}

// verifyPGP says which of the keys made a signature, or why none did.
func verifyPGP(keys openpgp.EntityList, payload, armored []byte, when time.Time) (by string, err error) {
	defer recovered(&err)
	if len(armored) > mostPGP {
		return "", errPGPForm
	}
	block, err := armor.Decode(bytes.NewReader(armored))
	if err != nil || block.Type != openpgp.SignatureType {
		return "", errPGPForm
	}
	binary, err := io.ReadAll(io.LimitReader(block.Body, mostPGP))
	if err != nil {
		return "", errPGPForm
	}
	packets := packet.NewReader(bytes.NewReader(binary))
	first, err := packets.Next()
	if err != nil {
		return "", errPGPForm
	}
	given, ok := first.(*packet.Signature)
	if _, err := packets.Next(); !ok || given.IssuerKeyId == nil || given.SigType != packet.SigTypeBinary || !errors.Is(err, io.EOF) {
		return "", errPGPForm
	}
	issuer := fmt.Sprintf("%016X", *given.IssuerKeyId)
	if len(keys.EntitiesById(*given.IssuerKeyId)) == 0 {
		return "", fmt.Errorf("is signed with a key that is not listed: OpenPGP %s", issuer)
	}
	// It was made after the time that the commit gives, by as long as that took.
	if given.CreationTime.After(when) {
		when = given.CreationTime
	}
	_, signer, err := openpgp.VerifyDetachedSignature(keys, bytes.NewReader(payload), bytes.NewReader(binary), &packet.Config{Time: func() time.Time { return when }})
	switch {
	case errors.Is(err, pgperrors.ErrKeyExpired), errors.Is(err, pgperrors.ErrSignatureExpired):
		return "", fmt.Errorf("is signed with a key, or a signature, that had expired: OpenPGP %s", issuer)
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return "", fmt.Errorf("is signed with a key that was revoked: OpenPGP %s", issuer)
	case err != nil || signer == nil:
		return "", fmt.Errorf("is not what was signed, or the key may not sign it: the signature by OpenPGP %s does not fit it", issuer)
	}
	return nameOf(signer), nil
}

// nameOf returns who a key belongs to, as far as it says so, and its fingerprint.
func nameOf(key *openpgp.Entity) string {
	fingerprint := fmt.Sprintf("OpenPGP %X", key.PrimaryKey.Fingerprint)
	if _, identity := key.PrimaryIdentity(time.Time{}, nil); identity != nil {
		return fmt.Sprintf("%.100q (%s)", identity.Name, fingerprint)
	}
	return fingerprint
}

// signPGP signs as gpg --detach-sign --armor does, at the time that the commit
// gives: so the signature is not newer than what it is on.
func signPGP(key *openpgp.Entity, payload []byte, when time.Time) ([]byte, error) {
	var b bytes.Buffer
	params := &openpgp.SignParams{Config: &packet.Config{Time: func() time.Time { return when }}}
	if err := openpgp.ArmoredDetachSign(&b, []*openpgp.Entity{key}, bytes.NewReader(payload), params); err != nil {
		return nil, err
	}
	b.WriteString("\n")
	return b.Bytes(), nil
}
